/**
 * What a dead worker ran goes on with the next one on its machine, without being in the queue: the agents may live there,
 * and another machine would begin anew.
 */
import { sql } from 'kysely';
import type { DatabaseTransaction } from '../database/database.ts';
import { appendEvents } from '../events/append-events.ts';
import { eventsTopic, projectTopic, type Topic, WORKERS_TOPIC } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import { type Claimer, startEvents } from './claim-builds.ts';
import { LEASE_SECONDS } from './lease.ts';
import { endAttempt, type Requeue } from './requeue-build.ts';

/** A worker that is there anew, and has claimed nothing yet. */
export interface Heir extends Claimer {
  /** Builds that it can run. */
  readonly places: number;
}

/** Null: the heir does not take it. The caller holds the row's lock. */
export async function passOnBuild(
  trx: DatabaseTransaction,
  queue: Queue,
  { heir, ...requeue }: Requeue & { readonly heir: Heir },
): Promise<Topic[] | null> {
  const { buildId, outcome, reason, message } = requeue;
  const { workerId, workerName, places, leaseSeconds = LEASE_SECONDS } = heir;
  // As a claim does: who cordons, drains or evicts the worker waits for this, and is waited for.
  const { rows } = await sql<{ running: number }>`
    select (select count(*)::int from build_audit where worker_id = ${workerId} and status = 'RUNNING') as running
      from workers
     where id = ${workerId} and coalesce(cordoned_at, draining_at, evicted_at, stopped_at) is null
       for key share`.execute(trx);
  if (!rows[0] || rows[0].running >= places || !(await queue.passOn(trx, buildId, heir))) return null;
  await appendEvents(trx, { buildId, attemptNo: null }, [{ type: 'RETRY_SCHEDULED', data: { reason, message } }]);
  await endAttempt(trx, buildId, outcome);
  const { attempt_no: attemptNo, project_id: projectId } = await trx
    .updateTable('build_audit')
    .set({
      phase: 'PREPARING',
      waiting_for: null,
      attempt_no: sql<number>`attempt_no + 1`,
      ledger_no: 0,
      worker_id: workerId,
      lease_until: sql<Date>`now() + make_interval(secs => ${leaseSeconds})`,
      lost_attempts: sql<number>`lost_attempts + ${outcome === 'LOST' ? 1 : 0}`,
    })
    .where('id', '=', buildId)
    .returning(['attempt_no', 'project_id'])
    .executeTakeFirstOrThrow();
  const attempt = { build_id: buildId, attempt_no: attemptNo, worker_id: workerId };
  await trx.insertInto('build_attempts').values(attempt).execute();
  await appendEvents(trx, { buildId, attemptNo }, startEvents({ workerId, workerName }));
  await failpoint('requeue.written');
  return [WORKERS_TOPIC, eventsTopic(buildId), projectTopic(projectId)];
}
