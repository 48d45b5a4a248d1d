/** Runs the program of a figure, as `startProgram` asks over IPC; ends with the one who asked. */
import type { Answer, Call } from './program.ts';

let served: Readonly<Record<string, (argument: unknown) => unknown>> = {};

async function answer({ name, argument }: Call): Promise<unknown> {
  if (name === 'main') {
    const given = argument as { readonly file: string; readonly argument: unknown };
    const { main } = (await import(given.file)) as { main: (argument: unknown) => Promise<typeof served> };
    served = await main(given.argument);
    return null;
  }
  if (name === 'close' && !served[name]) return null;
  const work = served[name];
  if (!work) throw new Error(`the program has no ${name}`);
  return work(argument);
}

process.on('message', async (call: Call) => {
  const reply = (given: Omit<Answer, 'id'>) => process.send?.({ id: call.id, ...given } satisfies Answer);
  try {
    reply({ value: await answer(call) });
  } catch (error) {
    reply({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
process.on('disconnect', () => process.exit());
