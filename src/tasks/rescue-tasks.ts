/** Tasks whose lease has run out: the attempt counts as failed, and they go on with another worker or end. */
import { sql } from 'kysely';
import { inTransaction } from '../database/transaction.ts';
import { TASKS_TOPIC } from '../events/topics.ts';
import { failpoint } from '../std/failpoint.ts';
import { failAttempt } from './end-task.ts';
import { lockTask, type TaskDeps } from './lease.ts';
import { addToQueue } from './queue-task.ts';
import { ownTask } from './task.ts';

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
    await failpoint('rescue.begin');
    const failure = { reason: 'The worker was not heard of until its lease had run out.', retryable: true };
    return failAttempt(trx, deps.queue, { row, failure, result: null, word: null });
  });
  if (topics) await failpoint('rescue.committed');
  if (topics) deps.hub.announce(...topics);
  return topics !== null;
}

/** Tasks that wait and that the queue does not know any more (a backup was restored in part). Returns how many there were. */
export async function restoreTasks({ db, queue, hub }: TaskDeps): Promise<number> {
  const lost = await sql<{ id: string }>`
    select t.id from tasks t
     where t.status = 'PENDING' and t.created_at < now() - interval '1 minute'
       and not exists (select from queue_items i where i.id = t.id)
     limit ${BATCH}`.execute(db);
  let count = 0;
  for (const { id } of lost.rows) {
    const found = await inTransaction(db, async (trx) => {
      const row = await lockTask(trx, id);
      if (row.status !== 'PENDING') return false;
      // Whoever has put it back meanwhile has put it where it belongs.
      await queue.remove(trx, id);
      await addToQueue(trx, queue, ownTask(row), row.ready_at);
      return true;
    });
    if (found) count += 1;
  }
  if (count > 0) hub.announce(TASKS_TOPIC);
  return count;
}
