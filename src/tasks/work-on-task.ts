/** What the worker of a task says: that it lives, and how it went. Each names the lease; one that has ended changes nothing. */
import { inTransaction } from '../database/transaction.ts';
import { LeaseLostError } from '../errors.ts';
import { type Topic, taskTopic } from '../events/topics.ts';
import { canonicalJson } from '../std/canonical-json.ts';
import { failpoint } from '../std/failpoint.ts';
import { endTask, failAttempt, waitAgain } from './end-task.ts';
import { isRepeated, lockTask, parseInput, requireLease, seconds, type TaskDeps, type TaskRow } from './lease.ts';
import { ownTask, type Task } from './task.ts';
import { appendTaskEvents } from './task-events.ts';
import {
  type CompleteTaskInput,
  completeTaskInput,
  type FailTaskInput,
  failTaskInput,
  type HeartbeatTaskInput,
  heartbeatTaskInput,
  type ReleaseTaskInput,
  releaseTaskInput,
} from './task-input.ts';

/** Of one task, at most; the row has the last progress all the same. */
const MAX_PROGRESS_EVENTS = 1_000;

type Of<Input> = Input & { readonly id: string };

export interface Beat {
  readonly task: Task;
  readonly leaseUntil: Date;
  /** The worker is to stop, and to release or fail the task; otherwise it is cancelled when the lease has run out. */
  readonly cancelRequested: boolean;
}

/**
 * Extends the lease by the task's leaseSeconds, or by `atLeastSeconds` if that is more. Throws InvalidInputError,
 * NotFoundError, TaskStateError, LeaseLostError.
 */
export async function heartbeatTask(
  deps: TaskDeps,
  { id, ...rest }: Of<HeartbeatTaskInput>,
  atLeastSeconds = 0,
): Promise<Beat> {
  const { leaseToken, progress } = parseInput(heartbeatTaskInput, rest);
  const says = progress !== undefined && progress !== null;
  const { row, told } = await inTransaction(deps.db, async (trx) => {
    const held = await lockTask(trx, id);
    await requireLease(trx, held, leaseToken);
    const isNew = says && canonicalJson(progress) !== canonicalJson(held.progress);
    const told = isNew && held.last_seq < MAX_PROGRESS_EVENTS;
    const row = await trx
      .updateTable('tasks')
      .set({
        lease_until: seconds(Math.max(held.lease_seconds, atLeastSeconds)),
        ...(isNew ? { progress: JSON.stringify(progress) } : {}),
      })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    if (told) await appendTaskEvents(trx, id, [{ type: 'PROGRESS', data: { progress } }]);
    return { row, told };
  });
  await failpoint('task.renewed');
  if (told) deps.hub.announce(taskTopic(id));
  if (row.lease_until === null) throw new Error('a task that was just renewed has a lease');
  const task = ownTask({ ...row, last_seq: row.last_seq + (told ? 1 : 0) });
  return { task, leaseUntil: row.lease_until, cancelRequested: row.cancel_requested_at !== null };
}

/**
 * COMPLETED, also when somebody has asked to cancel it meanwhile: what was done is done. Sent again with the same result, it
 * gives the same answer. Throws as heartbeatTask.
 */
export async function completeTask(deps: TaskDeps, { id, ...rest }: Of<CompleteTaskInput>): Promise<Task> {
  const { leaseToken, result = null } = parseInput(completeTaskInput, rest);
  return change(deps, id, async (trx, row) => {
    if (isRepeated(row, leaseToken, 'COMPLETE')) {
      if (canonicalJson(row.result) === canonicalJson(result)) return [];
      throw new LeaseLostError(row.status);
    }
    await requireLease(trx, row, leaseToken);
    return endTask(trx, deps.queue, { row, conclusion: { status: 'COMPLETED', result }, word: 'COMPLETE' });
  });
}

/**
 * The attempt has failed. The task waits for another one, or is FAILED when it is not retryable or has had all its attempts;
 * CANCELLED where that was asked for. Sent again, it gives the task as it is. Throws as heartbeatTask.
 */
export async function failTask(deps: TaskDeps, { id, ...rest }: Of<FailTaskInput>): Promise<Task> {
  const { leaseToken, reason, retryable, result = null } = parseInput(failTaskInput, rest);
  return change(deps, id, async (trx, row) => {
    if (isRepeated(row, leaseToken, 'FAIL')) return [];
    await requireLease(trx, row, leaseToken);
    const failure = { reason, retryable: retryable ?? true };
    return failAttempt(trx, deps.queue, { row, failure, result, word: 'FAIL' });
  });
}

/** Gives the task back: it waits at once, and the attempt does not count as failed. Throws as heartbeatTask. */
export async function releaseTask(deps: TaskDeps, { id, ...rest }: Of<ReleaseTaskInput>): Promise<Task> {
  const { leaseToken } = parseInput(releaseTaskInput, rest);
  return change(deps, id, async (trx, row) => {
    if (isRepeated(row, leaseToken, 'RELEASE')) return [];
    await requireLease(trx, row, leaseToken);
    if (row.cancel_requested_at) {
      return endTask(trx, deps.queue, { row, conclusion: { status: 'CANCELLED' }, word: 'RELEASE' });
    }
    const event = { type: 'RELEASED', data: { claimedBy: row.claimed_by } } as const;
    return waitAgain(trx, deps.queue, { row, word: 'RELEASE', delay: 0, event });
  });
}

type Transaction = Parameters<typeof lockTask>[0];

/** The task as it is after `work`, which returns what to announce. */
async function change(
  deps: TaskDeps,
  id: string,
  work: (trx: Transaction, row: TaskRow) => Promise<Topic[]>,
): Promise<Task> {
  const { row, topics } = await inTransaction(deps.db, async (trx) => {
    const topics = await work(trx, await lockTask(trx, id));
    const row = await trx.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    await failpoint('task.written');
    return { row, topics };
  });
  await failpoint('task.committed');
  deps.hub.announce(...topics);
  return ownTask(row);
}
