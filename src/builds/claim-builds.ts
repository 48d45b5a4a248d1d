/** A worker takes builds from the queue: job and row change hands in one transaction. */
import { sql } from 'kysely';
import { inTransaction } from '../database/transaction.ts';
import { appendEvents } from '../events/append-events.ts';
import { eventsTopic, projectTopic } from '../events/topics.ts';
import { type ClaimedBuild, toBuild } from './build.ts';
import type { Checkpoint } from './checkpoint.ts';
import { LEASE_SECONDS } from './lease.ts';
import type { LedgerDeps } from './ledger.ts';

export interface Claimer {
  readonly workerId: string;
  readonly workerName: string;
}

/** Up to `limit` builds that are now this worker's; none when nothing is ready. */
export async function claimBuilds(deps: LedgerDeps, claimer: Claimer, limit: number): Promise<ClaimedBuild[]> {
  const claimed = await inTransaction(deps.db, async (trx) => {
    const ids = await deps.queue.take(trx, limit);
    if (ids.length === 0) return [];
    // A job may be handed out twice (pg-boss' expiry), its build only once.
    const rows = await trx
      .updateTable('build_audit')
      .set({
        status: 'RUNNING',
        phase: 'PREPARING',
        attempt_no: sql<number>`attempt_no + 1`,
        ledger_no: 0,
        worker_id: claimer.workerId,
        lease_until: sql<Date>`now() + make_interval(secs => ${LEASE_SECONDS})`,
        started_at: sql<Date>`coalesce(started_at, clock_timestamp())`,
      })
      .where('id', 'in', ids)
      .where('status', '=', 'PENDING')
      .returningAll()
      .execute();
    if (rows.length === 0) return [];
    await trx
      .insertInto('build_attempts')
      .values(rows.map((row) => ({ build_id: row.id, attempt_no: row.attempt_no, worker_id: claimer.workerId })))
      .execute();
    // By project, so that two claims never wait for each other's project rows.
    rows.sort((a, b) => (a.project_id < b.project_id ? -1 : 1));
    for (const row of rows) {
      await appendEvents(trx, { buildId: row.id, attemptNo: row.attempt_no }, [
        { type: 'STARTED', data: { workerId: claimer.workerId, workerName: claimer.workerName } },
        { type: 'PHASE_CHANGED', data: { from: 'QUEUED', to: 'PREPARING' } },
      ]);
    }
    return rows.map((row) => ({
      ...toBuild(row),
      workerId: claimer.workerId,
      checkpoint: row.checkpoint as Checkpoint,
    }));
  });
  deps.hub.announce(...claimed.flatMap((build) => [eventsTopic(build.id), projectTopic(build.projectId)]));
  return claimed;
}

export interface Heartbeat {
  readonly workerId: string;
  /** The attempts this worker still runs. */
  readonly attempts: readonly { readonly buildId: string; readonly attemptNo: number }[];
}

export interface HeartbeatAnswer {
  /** Builds whose lease was renewed, and whether somebody wants them cancelled. The others are no longer ours. */
  readonly renewed: ReadonlyMap<string, { readonly cancelRequested: boolean }>;
}

/** One statement for the worker and all its builds. */
export async function heartbeat(deps: Pick<LedgerDeps, 'db'>, beat: Heartbeat): Promise<HeartbeatAnswer> {
  const ids = beat.attempts.map((attempt) => attempt.buildId);
  const numbers = beat.attempts.map((attempt) => attempt.attemptNo);
  const result = await sql<{ id: string; cancel: boolean }>`
    with worker as (
      update workers set heartbeat_at = now() where id = ${beat.workerId}
    )
    update build_audit b set lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      from unnest(${ids}::uuid[], ${numbers}::integer[]) a (id, attempt_no)
     where b.id = a.id and b.attempt_no = a.attempt_no and b.status = 'RUNNING' and b.worker_id = ${beat.workerId}
    returning b.id, b.cancel_requested_at is not null as cancel`.execute(deps.db);
  return { renewed: new Map(result.rows.map((row) => [row.id, { cancelRequested: row.cancel }])) };
}
