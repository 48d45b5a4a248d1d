/** A worker takes builds from the queue: place and row change hands in one statement. */
import type { Selectable } from 'kysely';
import { CompiledQuery, sql } from 'kysely';
import { textArray, uuidArray } from '../database/binary-arrays.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import type { BuildAuditTable } from '../database/tables.ts';
import { inTransaction } from '../database/transaction.ts';
import { eventRows } from '../events/append-events.ts';
import type { NewBuildEvent } from '../events/event.ts';
import { eventsTopic, projectTopic, QUEUE_TOPIC, WORKERS_TOPIC, workTopic } from '../events/topics.ts';
import { failpoint } from '../std/failpoint.ts';
import { type ClaimedBuild, toClaimedBuild } from './build.ts';
import { LEASE_SECONDS } from './lease.ts';
import type { LedgerDeps } from './postgres-ledger.ts';
import type { ReportDeps } from './report-end.ts';
import { requeueBuild } from './requeue-build.ts';

export interface Claimer {
  readonly workerId: string;
  readonly workerName: string;
  /** What builds may ask of their worker; those that ask for more are left to others. */
  readonly labels: readonly string[];
  /** Builds of no other projects; null means any. */
  readonly projectIds: readonly string[] | null;
  /** How long the claim holds without a heartbeat; `LEASE_SECONDS` if absent. */
  readonly leaseSeconds?: number;
}

/** The builds that waited for a key begin within this time, and not all at once. */
const STAGGER_SECONDS = 20;
const HELD = 'The key of its agent is at its rate limit: the build waits with the others that use it.';

export type ClaimDeps = LedgerDeps & Pick<ReportDeps, 'telemetry'>;

/**
 * Up to `limit` builds that are now this worker's; none when nothing is ready, or the worker takes nothing. One statement,
 * because nobody else claims until it has been committed: a worker that stops in the middle must not stop the others.
 */
export async function claimBuilds(deps: ClaimDeps, claimer: Claimer, limit: number): Promise<ClaimedBuild[]> {
  const { rows } = await deps.db.executeQuery<ClaimedRow>(CompiledQuery.raw(STATEMENT, claimTerms(claimer, limit)));
  return tellClaim(deps, claimer, rows);
}

const STATEMENT = `${PREPARED} select * from claim_builds($1, $2, $3, $4, $5, $6, $7, $8)`;

/** As `claim_builds` gives it: the last one has no id when something was passed over. */
export type ClaimedRow = Selectable<BuildAuditTable>;

/** The arguments of `claim_builds`. */
export function claimTerms(claimer: Claimer, limit: number): unknown[] {
  const [workerId, labels, only, leaseSeconds, started] = startTerms(claimer);
  const held = eventRows([{ type: 'RETRY_SCHEDULED', data: { reason: 'QUOTA', message: HELD } }]);
  return [workerId, labels, limit, only, leaseSeconds, STAGGER_SECONDS, started, held];
}

/** Those of `accept_build`, for a build that begins as it is accepted. */
export function startTerms({ workerId, workerName, labels, projectIds, leaseSeconds = LEASE_SECONDS }: Claimer) {
  const started = eventRows(startEvents({ workerId, workerName }));
  return [workerId, textArray(labels), projectIds && uuidArray(projectIds), leaseSeconds, started] as const;
}

/** After the commit of a claim: counts and announces it. Gives the builds that are the worker's. */
export async function tellClaim(
  deps: Omit<ClaimDeps, 'db'>,
  { workerId }: Pick<Claimer, 'workerId'>,
  given: readonly ClaimedRow[],
): Promise<ClaimedBuild[]> {
  const rows = given.filter(({ id }) => id !== null);
  deps.queue.again.claimed(workerId, rows.length < given.length, () => deps.hub.announce(workTopic(workerId)));
  const claimed = rows.filter(({ status }) => status === 'RUNNING').map((row) => toClaimedBuild(row, workerId));
  await tellStarted(deps, claimed);
  // What was held has made room for others: the claim is repeated at once.
  if (claimed.length < rows.length) deps.hub.announce(QUEUE_TOPIC);
  deps.hub.announce(...rows.flatMap((row) => [eventsTopic(row.id), projectTopic(row.project_id)]));
  return claimed;
}

/** The same of the only one that was there, which has begun as it was accepted. */
export async function tellStart(deps: Omit<ClaimDeps, 'db'>, build: ClaimedBuild): Promise<void> {
  await tellStarted(deps, [build]);
  deps.hub.announce(eventsTopic(build.id), projectTopic(build.projectId));
}

async function tellStarted(deps: Omit<ClaimDeps, 'db'>, builds: readonly ClaimedBuild[]): Promise<void> {
  // Of later attempts nobody knows since when they could start.
  for (const { attemptNo, createdAt, spec, startedAt } of builds) {
    if (attemptNo > 1 || !startedAt) continue;
    const since = Math.max(createdAt.getTime(), spec.runAfter ? Date.parse(spec.runAfter) : 0);
    deps.telemetry.queueWaits.observe(Math.max(0, startedAt.getTime() - since) / 1_000, { kind: 'build' });
  }
  if (builds.length === 0) return;
  await failpoint('claim.committed');
  deps.hub.announce(WORKERS_TOPIC);
}

/** With which every attempt begins. */
export function startEvents(by: { readonly workerId: string; readonly workerName: string }): NewBuildEvent[] {
  return [
    { type: 'STARTED', data: by },
    { type: 'PHASE_CHANGED', data: { from: 'QUEUED', to: 'PREPARING' } },
  ];
}

export interface Heartbeat {
  readonly workerId: string;
  /** The attempts this worker still runs. */
  readonly attempts: readonly AttemptKey[];
  /** `LEASE_SECONDS` if absent. */
  readonly leaseSeconds?: number;
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
      update build_audit set lease_until = now() + make_interval(secs => ${beat.leaseSeconds ?? LEASE_SECONDS}) where id in (select id from free)
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
