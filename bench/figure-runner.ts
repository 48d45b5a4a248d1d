/** Starts the process of a figure, and waits for what it has measured. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Order, Outcome } from './figure-process.ts';

const PROGRAM = fileURLToPath(new URL('figure-process.ts', import.meta.url));
const LONGEST_MS = { quick: 300_000, full: 3_600_000 };

export type Measured = Exclude<Outcome, { failure: string }>;

/** Rejects when it could not be measured, or takes too long. */
export async function runFigure(order: Order, signal: AbortSignal): Promise<Measured> {
  const limit = AbortSignal.timeout(order.extent.isQuick ? LONGEST_MS.quick : LONGEST_MS.full);
  const child = fork(PROGRAM, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    signal: AbortSignal.any([signal, limit]),
    killSignal: 'SIGKILL',
  });
  const exited = once(child, 'exit');
  try {
    child.send(order);
    const [outcome] = (await Promise.race([
      once(child, 'message'),
      exited.then(([code, by]) => [{ failure: `its process has ended with ${by ?? code}` }]),
    ])) as [Outcome];
    if ('failure' in outcome) throw new Error(outcome.failure);
    await exited;
    return outcome;
  } catch (error) {
    throw limit.aborted ? new Error('it takes too long') : error;
  } finally {
    child.kill('SIGKILL');
  }
}
