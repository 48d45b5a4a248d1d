/** Back into the queue: a worker was lost, gave the build back, or its provider takes no requests. The caller holds the row's lock. */
import { sql } from 'kysely';
import type { DatabaseTransaction } from '../database/database.ts';
import { appendEvents } from '../events/append-events.ts';
import { eventsTopic, projectTopic, QUEUE_TOPIC, type Topic, WORKERS_TOPIC } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';

export interface Requeue {
  readonly buildId: string;
  readonly outcome: 'LOST' | 'RELEASED';
  readonly reason: string;
  readonly message: string;
  /** It waits until then for its provider to take requests again. */
  readonly resumeAt?: Date;
}

export async function requeueBuild(trx: DatabaseTransaction, queue: Queue, requeue: Requeue): Promise<Topic[]> {
  const { buildId, outcome, reason, message, resumeAt } = requeue;
  const build = await trx
    .updateTable('build_audit')
    .set({
      status: 'PENDING',
      phase: 'QUEUED',
      worker_id: null,
      lease_until: null,
      waiting_for: resumeAt ? 'QUOTA' : null,
      resume_at: resumeAt ?? null,
      quota_waits: sql<number>`quota_waits + ${resumeAt ? 1 : 0}`,
      lost_attempts: sql<number>`lost_attempts + ${outcome === 'LOST' ? 1 : 0}`,
    })
    .where('id', '=', buildId)
    .returning('project_id')
    .executeTakeFirstOrThrow();
  const data = { reason, message, ...(resumeAt ? { resumeAt: resumeAt.toISOString() } : {}) };
  await appendEvents(trx, { buildId, attemptNo: null }, [{ type: 'RETRY_SCHEDULED', data }]);
  await endAttempt(trx, buildId, outcome);
  // One that the queue has lost is added again.
  if (!(await queue.putBack(trx, buildId, resumeAt ?? null))) await queue.addBuild(trx, buildId);
  await failpoint('requeue.written');
  return [QUEUE_TOPIC, WORKERS_TOPIC, eventsTopic(buildId), projectTopic(build.project_id)];
}

/** The build's attempt that has not ended. */
export async function endAttempt(
  trx: DatabaseTransaction,
  buildId: string,
  outcome: Requeue['outcome'],
): Promise<void> {
  await trx
    .updateTable('build_attempts')
    .set({ ended_at: sql<Date>`now()`, outcome })
    .where('build_id', '=', buildId)
    .where('ended_at', 'is', null)
    .execute();
}
