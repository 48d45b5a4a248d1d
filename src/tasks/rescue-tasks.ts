/** Tasks whose lease has run out: the attempt counts as failed, and they go on with another worker or end. */
import { sql } from 'kysely';
import { inTransaction } from '../database/transaction.ts';
import { failAttempt } from './end-task.ts';
import type { TaskDeps } from './lease.ts';

/** Tasks of one pass; more are found by the next. */
const BATCH = 100;

/**
 * Safe to run in every process at the same time. Returns how many tasks it moved. A task that cannot be moved does not keep
 * the others from it; the first such error is thrown at the end.
 */
export async function rescueTasks(deps: TaskDeps): Promise<number> {
  const candidates = await deps.db
    .selectFrom('tasks')
    .select('id')
    .where('status', '=', 'RUNNING')
    .where('lease_until', '<=', sql<Date>`now()`)
    .orderBy(sql`random()`)
    .limit(BATCH)
    .execute();
  let count = 0;
  const errors: unknown[] = [];
  for (const { id } of candidates) {
    try {
      if (await rescueTask(deps, id)) count += 1;
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return count;
}

/** False when its lease holds again, or somebody else is at it. */
async function rescueTask(deps: TaskDeps, id: string): Promise<boolean> {
  const topics = await inTransaction(deps.db, async (trx) => {
    const row = await trx
      .selectFrom('tasks')
      .selectAll()
      .where('id', '=', id)
      .where('status', '=', 'RUNNING')
      .where('lease_until', '<=', sql<Date>`now()`)
      .forNoKeyUpdate()
      .skipLocked()
      .executeTakeFirst();
    if (!row) return null;
    const failure = { reason: 'The worker was not heard of until its lease had run out.', retryable: true };
    return failAttempt(trx, deps.queue, { row, failure, result: null, word: null });
  });
  if (topics) deps.hub.announce(...topics);
  return topics !== null;
}
