/** The end of a task, and the end of one attempt: row, event, callback and queue in the caller's transaction. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { DatabaseTransaction } from '../database/database.ts';
import { DELIVERIES_TOPIC, type Topic, taskTopic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { seconds, type TaskRow, withoutLease } from './lease.ts';
import { putBackIntoQueue, removeFromQueue } from './queue-task.ts';
import { ownTask, type TaskFailure } from './task.ts';
import { appendTaskEvents, type NewTaskEvent } from './task-events.ts';

/** Pauses differ by up to a fifth, so that what failed together does not come back together. */
const JITTER = 0.2;

export type TaskConclusion =
  | { readonly status: 'COMPLETED'; readonly result: unknown }
  | { readonly status: 'FAILED'; readonly failure: TaskFailure; readonly result: unknown }
  | { readonly status: 'CANCELLED' };

export interface EndTask {
  /** Locked by the caller. */
  readonly row: TaskRow;
  readonly conclusion: TaskConclusion;
  /** The word of the worker that ended it; null when no worker did. */
  readonly word: TaskRow['ended_by'];
  readonly events?: readonly NewTaskEvent[];
}

/** Returns what to announce after the commit. */
export async function endTask(trx: DatabaseTransaction, queue: Queue, end: EndTask): Promise<Topic[]> {
  const { row, conclusion, word } = end;
  const { status } = conclusion;
  const failed = status === 'FAILED';
  const result = status === 'CANCELLED' ? null : (conclusion.result ?? null);
  await trx
    .updateTable('tasks')
    .set({
      ...withoutLease(row, word),
      status,
      finished_at: sql<Date>`clock_timestamp()`,
      result: result === null ? null : JSON.stringify(result),
      ...(status === 'COMPLETED' ? { failure: null } : {}),
      ...(failed
        ? { failure: JSON.stringify(conclusion.failure), dead_lettered_at: sql<Date>`clock_timestamp()` }
        : {}),
    })
    .where('id', '=', row.id)
    .execute();
  const reason = failed ? conclusion.failure.reason : status === 'CANCELLED' ? row.cancel_reason : null;
  await appendTaskEvents(trx, row.id, [...(end.events ?? []), { type: 'FINISHED', data: { status, reason } }]);
  const topics = [taskTopic(row.id), ...(await removeFromQueue(trx, queue, row.id))];
  if (row.callback_url === null) return topics;
  const outbox = { id: v7(), task_id: row.id, project_id: row.project_id, url: row.callback_url };
  // A task that was requeued reports again, under the same id.
  await trx
    .insertInto('deliveries')
    .values({ ...outbox, kind: 'task.finished' })
    .onConflict((conflict) =>
      conflict.columns(['task_id', 'kind']).doUpdateSet({
        status: 'PENDING',
        tries: 0,
        due_at: sql<Date>`now()`,
        lease_until: null,
        delivered_at: null,
      }),
    )
    .execute();
  return [...topics, DELIVERIES_TOPIC];
}

/**
 * One attempt is over and has failed: the task waits for another one, or has failed for good. Somebody who wants it
 * cancelled gets that instead.
 */
export async function failAttempt(
  trx: DatabaseTransaction,
  queue: Queue,
  end: { readonly row: TaskRow; readonly failure: TaskFailure; readonly result: unknown; readonly word: 'FAIL' | null },
): Promise<Topic[]> {
  const { row, failure, word } = end;
  if (row.cancel_requested_at) return endTask(trx, queue, { row, conclusion: { status: 'CANCELLED' }, word });
  const failures = row.failures + 1;
  await trx
    .updateTable('tasks')
    .set({ failures, failure: JSON.stringify(failure) })
    .where('id', '=', row.id)
    .execute();
  if (!failure.retryable || failures >= row.max_attempts) {
    return endTask(trx, queue, { row, conclusion: { status: 'FAILED', failure, result: end.result }, word });
  }
  const delay = pauseSeconds(row, failures);
  return waitAgain(trx, queue, {
    row,
    word,
    delay,
    event: { type: 'RETRY_SCHEDULED', data: { reason: failure.reason, failures, delaySeconds: delay } },
  });
}

/** Back into the queue. */
export async function waitAgain(
  trx: DatabaseTransaction,
  queue: Queue,
  again: {
    readonly row: TaskRow;
    readonly word: TaskRow['ended_by'];
    /** Seconds. */
    readonly delay: number;
    readonly event: NewTaskEvent;
  },
): Promise<Topic[]> {
  const { row, word, delay, event } = again;
  const { ready_at } = await trx
    .updateTable('tasks')
    .set({ ...withoutLease(row, word), status: 'PENDING', ready_at: seconds(delay) })
    .where('id', '=', row.id)
    .returning('ready_at')
    .executeTakeFirstOrThrow();
  await appendTaskEvents(trx, row.id, [{ ...event, data: { ...event.data, readyAt: ready_at.toISOString() } }]);
  const topics = await putBackIntoQueue(trx, queue, ownTask(row), delay > 0 ? ready_at : null);
  return [taskTopic(row.id), ...topics];
}

/** Twice as long after each failure, up to the maximum. `random` gives a number from 0 up to 1. */
export function pauseSeconds(
  rule: Pick<TaskRow, 'backoff_seconds' | 'max_backoff_seconds'>,
  failures: number,
  random: () => number = Math.random,
): number {
  const full = Math.min(rule.backoff_seconds * 2 ** Math.min(failures - 1, 30), rule.max_backoff_seconds);
  return Math.min(full * (1 - JITTER + 2 * JITTER * random()), rule.max_backoff_seconds);
}
