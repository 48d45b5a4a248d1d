/** What harness.test.ts starts in a process of its own. */
import type { Served } from '../../bench/program.ts';

export async function main({ greeting }: { readonly greeting: string }): Promise<Served> {
  return {
    greet: (name: string) => ({ text: `${greeting} ${name}`, pid: process.pid }),
    fail: () => {
      throw new Error('it does not');
    },
  };
}
