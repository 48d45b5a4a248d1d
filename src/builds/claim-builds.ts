/** A worker takes builds from the queue: job and row change hands in one transaction. */
import { sql } from 'kysely';
import type { DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { appendEvents } from '../events/append-events.ts';
import { eventsTopic, projectTopic, QUEUE_TOPIC, type Topic } from '../events/topics.ts';
import { failpoint } from '../std/failpoint.ts';
import { type ClaimedBuild, toBuild } from './build.ts';
import type { Checkpoint } from './checkpoint.ts';
import { LEASE_SECONDS } from './lease.ts';
import type { LedgerDeps } from './ledger.ts';
import { findHeld, type HeldBuild } from './quota-pause.ts';
import { requeueBuild } from './requeue-build.ts';

export interface Claimer {
  readonly workerId: string;
  readonly workerName: string;
}

/** Up to `limit` builds that are now this worker's; none when nothing is ready. */
export async function claimBuilds(deps: LedgerDeps, claimer: Claimer, limit: number): Promise<ClaimedBuild[]> {
  const topics: Topic[] = [];
  const claimed = await inTransaction(deps.db, async (trx) => {
    topics.length = 0;
    const taken = await deps.queue.take(trx, limit);
    if (taken.length === 0) return [];
    const held = await holdBuilds(trx, deps.queue, taken);
    // What was held has made room for others: the claim is repeated at once.
    if (held.length > 0) topics.push(QUEUE_TOPIC);
    topics.push(...held.flatMap(({ id, projectId }) => [eventsTopic(id), projectTopic(projectId)]));
    const ids = taken.filter((id) => !held.some((build) => build.id === id));
    if (ids.length === 0) return [];
    // A job may be handed out twice (pg-boss' expiry), its build only once.
    const rows = await trx
      .updateTable('build_audit')
      .set({
        status: 'RUNNING',
        phase: 'PREPARING',
        waiting_for: null,
        resume_at: null,
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
    await failpoint('claim.written');
    return rows.map((row) => ({
      ...toBuild(row),
      workerId: claimer.workerId,
      checkpoint: row.checkpoint as Checkpoint,
      quotaWaits: row.quota_waits,
      talkNo: row.talk_no,
    }));
  });
  if (claimed.length > 0) await failpoint('claim.committed');
  deps.hub.announce(...topics, ...claimed.flatMap((build) => [eventsTopic(build.id), projectTopic(build.projectId)]));
  return claimed;
}

/** Puts those back that would begin with a key that is at its rate limit; returns them. */
async function holdBuilds(
  trx: DatabaseTransaction,
  queue: LedgerDeps['queue'],
  ids: readonly string[],
): Promise<readonly HeldBuild[]> {
  const held = await findHeld(trx, ids);
  for (const { id, priority, resumeAt } of held) {
    await trx
      .updateTable('build_audit')
      .set({ waiting_for: 'QUOTA', resume_at: resumeAt })
      .where('id', '=', id)
      .execute();
    const message = 'The key of its agent is at its rate limit: the build waits with the others that use it.';
    await appendEvents(trx, { buildId: id, attemptNo: null }, [
      { type: 'RETRY_SCHEDULED', data: { reason: 'QUOTA', message, resumeAt: resumeAt.toISOString() } },
    ]);
    await queue.putBack(trx, { id, priority, runAfter: resumeAt });
  }
  if (held.length > 0) await failpoint('hold.written');
  return held;
}

export interface Heartbeat {
  readonly workerId: string;
  /** The attempts this worker still runs. */
  readonly attempts: readonly AttemptKey[];
}

export interface AttemptKey {
  readonly buildId: string;
  readonly attemptNo: number;
}

export interface HeartbeatAnswer {
  /** Of the attempts that are still this worker's: does somebody want the build cancelled, or has told it something? */
  readonly owned: ReadonlyMap<string, { readonly cancelRequested: boolean; readonly talkNo: number }>;
  /** RUNNING builds that the database believes this worker runs, and that it did not name. */
  readonly unknown: readonly AttemptKey[];
}

/**
 * Renews the worker's leases. A row that somebody holds is left out, so that one slow transaction costs no other build
 * its lease; whose it is can be read all the same. Those of a worker that was evicted are not renewed.
 */
export async function heartbeat(deps: Pick<LedgerDeps, 'db'>, beat: Heartbeat): Promise<HeartbeatAnswer> {
  const ids = beat.attempts.map((attempt) => attempt.buildId);
  const numbers = beat.attempts.map((attempt) => attempt.attemptNo);
  const result = await sql<{ id: string; attempt_no: number; cancel: boolean; talk_no: number; named: boolean }>`
    with worker as (
      update workers set heartbeat_at = now() where id = ${beat.workerId}
    ), named as (
      select * from unnest(${ids}::uuid[], ${numbers}::integer[]) n (id, attempt_no)
    ), free as (
      select b.id from build_audit b join named n on b.id = n.id and b.attempt_no = n.attempt_no
       where b.status = 'RUNNING' and b.worker_id = ${beat.workerId}
         and not exists (select from workers where id = ${beat.workerId} and evicted_at is not null)
         for no key update of b skip locked
    ), renewed as (
      update build_audit set lease_until = now() + make_interval(secs => ${LEASE_SECONDS}) where id in (select id from free)
    )
    select b.id, b.attempt_no, b.cancel_requested_at is not null as cancel, b.talk_no, n.id is not null as named
      from build_audit b left join named n on b.id = n.id and b.attempt_no = n.attempt_no
     where b.worker_id = ${beat.workerId} and b.status = 'RUNNING'`.execute(deps.db);
  return {
    owned: new Map(
      result.rows
        .filter((row) => row.named)
        .map((row) => [row.id, { cancelRequested: row.cancel, talkNo: row.talk_no }]),
    ),
    unknown: result.rows.filter((row) => !row.named).map((row) => ({ buildId: row.id, attemptNo: row.attempt_no })),
  };
}

/** Gives back what this worker has claimed and does not run: the answer of its claim was lost, or it has given up. */
export async function giveBack(deps: LedgerDeps, worker: string, attempt: AttemptKey): Promise<void> {
  const topics = await inTransaction(deps.db, async (trx) => {
    await deps.queue.lock(trx, attempt.buildId);
    const row = await trx
      .selectFrom('build_audit')
      .select('id')
      .where('id', '=', attempt.buildId)
      .where('attempt_no', '=', attempt.attemptNo)
      .where('worker_id', '=', worker)
      .where('status', '=', 'RUNNING')
      .forUpdate()
      .executeTakeFirst();
    if (!row) return [];
    const message = 'The worker does not run the build that it had claimed; the build goes on.';
    const requeue = { buildId: row.id, outcome: 'RELEASED', reason: 'CLAIM_LOST', message } as const;
    return requeueBuild(trx, deps.queue, requeue);
  });
  deps.hub.announce(...topics);
}
