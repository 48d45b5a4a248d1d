/** What harness.test.ts starts in a process of its own. */
export async function main({ greeting }: { readonly greeting: string }) {
  return {
    greet: (name: string) => ({ text: `${greeting} ${name}`, pid: process.pid }),
    fail: () => {
      throw new Error('it does not');
    },
  };
}
