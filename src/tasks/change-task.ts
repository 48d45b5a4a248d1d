/** What those who wait for a task can do with it: cancel it, or give it another round. */
import { sql } from 'kysely';
import { cancelBuild } from '../builds/cancel-build.ts';
import { audit } from '../database/audit.ts';
import { inTransaction } from '../database/transaction.ts';
import { NotFoundError, TaskStateError } from '../errors.ts';
import { type Topic, taskTopic } from '../events/topics.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { endTask } from './end-task.ts';
import { lockTask, parseInput } from './lease.ts';
import { addToQueue } from './queue-task.ts';
import { findTask, isTaskFinished, ownTask, type Task } from './task.ts';
import { appendTaskEvents } from './task-events.ts';
import { type CancelTaskInput, cancelTaskInput } from './task-input.ts';

export type ChangeTaskDeps = Parameters<typeof cancelBuild>[0];

/**
 * Returns the task as it is after the request: CANCELLED when it was waiting, else RUNNING with `cancelRequestedAt`, until its
 * worker has let go of it or its lease has run out. Asking twice is fine. Of a build task: cancelBuild. Throws
 * InvalidInputError, NotFoundError, TaskStateError (it is finished), or of a build BuildStateError.
 */
export async function cancelTask(
  deps: ChangeTaskDeps,
  { id, ...rest }: CancelTaskInput & { readonly id: string },
  actor: string,
): Promise<Task> {
  const { reason = null } = parseInput(cancelTaskInput, rest);
  const before = await findTask(deps.db, id);
  if (!before) throw new NotFoundError('task', toPublicId('task', id));
  if (before.isBuild) {
    await cancelBuild(deps, { id, reason }, actor);
    return (await findTask(deps.db, id)) ?? before;
  }
  const { row, topics } = await inTransaction(deps.db, async (trx) => {
    const held = await lockTask(trx, id);
    if (isTaskFinished(held.status)) throw new TaskStateError(held.status, `The task is already ${held.status}.`);
    const topics: Topic[] = [];
    if (!held.cancel_requested_at) {
      const row = await trx
        .updateTable('tasks')
        .set({ cancel_requested_at: sql<Date>`now()`, cancel_reason: reason })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      const requested = { type: 'CANCEL_REQUESTED', data: { reason, requestedBy: actor } } as const;
      if (held.status === 'PENDING') {
        const conclusion = { status: 'CANCELLED' } as const;
        topics.push(...(await endTask(trx, deps.queue, { row, conclusion, word: null, events: [requested] })));
      } else {
        await appendTaskEvents(trx, id, [requested]);
        topics.push(taskTopic(id));
      }
      const subject = { subjectType: 'task', subjectId: id, projectId: row.project_id } as const;
      await audit(trx, { actor, action: 'cancelTask', ...subject, detail: { reason } });
    }
    const row = await trx.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    await failpoint('cancel.written');
    return { row, topics };
  });
  await failpoint('cancel.committed');
  deps.hub.announce(...topics);
  return ownTask(row);
}

/**
 * Another round for a task that has failed or was cancelled, with all its attempts. Throws NotFoundError or TaskStateError (it
 * is not over, it was completed, or it is a build: that has retryBuild).
 */
export async function requeueTask(deps: ChangeTaskDeps, { id }: { readonly id: string }, actor: string): Promise<Task> {
  const { row, topics } = await inTransaction(deps.db, async (trx) => {
    const held = await lockTask(trx, id);
    if (held.status !== 'FAILED' && held.status !== 'CANCELLED') {
      const message = 'Only a task that has failed or was cancelled can be requeued.';
      throw new TaskStateError(held.status, message);
    }
    const row = await trx
      .updateTable('tasks')
      .set({
        status: 'PENDING',
        failures: 0,
        ready_at: sql<Date>`clock_timestamp()`,
        cancel_requested_at: null,
        cancel_reason: null,
        dead_lettered_at: null,
        finished_at: null,
        result: null,
        progress: null,
      })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    await appendTaskEvents(trx, id, [{ type: 'REQUEUED', data: { requestedBy: actor } }]);
    // Its report of the end is no longer true.
    await trx
      .updateTable('deliveries')
      .set({ status: 'FAILED', due_at: null, lease_until: null })
      .where('task_id', '=', id)
      .where('status', '=', 'PENDING')
      .execute();
    await audit(trx, {
      actor,
      action: 'requeueTask',
      subjectType: 'task',
      subjectId: id,
      projectId: row.project_id,
    });
    return { row, topics: await addToQueue(trx, deps.queue, ownTask(row), null) };
  });
  deps.hub.announce(taskTopic(id), ...topics);
  return ownTask({ ...row, last_seq: row.last_seq + 1 });
}
