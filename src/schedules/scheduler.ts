/** Fires the schedules that are due. Any number of processes may run one: each time is taken by one of them. */
import { inTransaction } from '../database/transaction.ts';
import { isTransient } from '../database/transient.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import { type FireDeps, fireSchedule } from './fire-schedule.ts';
import { lockSchedule } from './schedule.ts';

/** A schedule is this late at most. */
const LOOK_EVERY_MS = 2_000;
const REPAIR_EVERY_MS = 60_000;
/** Schedules of one round. */
const MAX_FIRED = 100;
/** Jobs that are made anew in one round. */
const MAX_REPAIRED = 100;

export class Scheduler implements AsyncDisposable {
  readonly #deps: FireDeps;
  readonly #loops: Loop[] = [];

  constructor(deps: FireDeps) {
    this.#deps = deps;
  }

  open(): void {
    if (this.#loops.length > 0) return;
    const { logger } = this.#deps;
    const loop = (name: string, everyMs: number, work: () => Promise<void>) => {
      const onError = (error: unknown) =>
        logger.warn({ error: isTransient(error) ? String(error) : error, loop: name }, 'will try again');
      const started = startLoop({ everyMs, work, onError });
      this.#loops.push(started);
      started.wake();
    };
    loop('schedules', LOOK_EVERY_MS, () => this.#fireDue());
    loop('schedule jobs', REPAIR_EVERY_MS, () => this.#repair());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  async #fireDue(): Promise<void> {
    for (let fired = 0; fired < MAX_FIRED; fired += 1) if (!(await fireSchedule(this.#deps))) return;
  }

  async #repair(): Promise<void> {
    const schedules = await restoreScheduleJobs(this.#deps);
    if (schedules > 0) this.#deps.logger.warn({ schedules }, 'schedules had no job; they are due again');
  }
}

/**
 * Gives schedules a job again that have lost it: somebody tidied up in pg-boss' tables, a backup was restored in part. Safe to
 * run in every process at the same time. Returns how many.
 */
export async function restoreScheduleJobs({ db, queue }: Pick<FireDeps, 'db' | 'queue'>): Promise<number> {
  let count = 0;
  for (const id of await queue.schedules.findLost(db, MAX_REPAIRED)) {
    const restored = await inTransaction(db, async (trx) => {
      const schedule = await lockSchedule(trx, id);
      if (!schedule?.nextRunAt || !(await queue.schedules.isLost(trx, id))) return false;
      await queue.schedules.put(trx, id, schedule.nextRunAt);
      return true;
    });
    if (restored) count += 1;
  }
  return count;
}
