import { setTimeout as delay } from 'node:timers/promises';
import { OverloadedError } from '../errors.ts';
import { isTransient } from './transient.ts';

/** Work that keeps failing for this long gives up; a lease is long gone then. */
const RETRY_LIMIT_MS = 10 * 60_000;

/** Tries again while the database does not answer, or more waits for it than this process holds, `RETRY_LIMIT_MS` at most. */
export async function untilAnswered<T>(work: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + RETRY_LIMIT_MS;
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      const mayPass = isTransient(error) || error instanceof OverloadedError;
      if (!mayPass || performance.now() > giveUpAt) throw error;
      const pause = Math.min(2_000, 50 * 2 ** Math.min(tries, 6)) * (0.5 + Math.random() / 2);
      // A process that has shut down everything else does not stay for this.
      await delay(pause, undefined, { ref: false });
    }
  }
}
