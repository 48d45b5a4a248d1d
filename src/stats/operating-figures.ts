/** What an operator watches, over all projects: each is one query that reads an index or a small table. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

/** Of the kinds of output that no adapter knows: those that were seen last. */
const MAX_UNKNOWN = 1_000;

export interface QueueFigures {
  readonly pending: number;
  readonly running: number;
  /** Seconds that the oldest build waits which could begin now; 0 when there is none. */
  readonly oldestPendingSeconds: number;
}

export async function readQueueFigures(db: Database): Promise<QueueFigures> {
  const { rows } = await sql<QueueFigures>`
    select (count(*) filter (where status = 'PENDING'))::int as pending,
           (count(*) filter (where status = 'RUNNING'))::int as running,
           coalesce(extract(epoch from now() - min(greatest(created_at, run_after)) filter (where status = 'PENDING'
             and waiting_for is null and (run_after is null or run_after <= now()))), 0)::float8 as "oldestPendingSeconds"
      from build_audit where status in ('PENDING', 'RUNNING')`.execute(db);
  if (!rows[0]) throw new Error('aggregates without groups have one row');
  return rows[0];
}

export interface WorkerFigures {
  readonly online: number;
  readonly draining: number;
  /** Heard of in the last day, and not any more. */
  readonly offline: number;
}

/** `timeoutSeconds`: a worker that was silent for longer is offline. */
export async function readWorkerFigures(
  db: Database,
  { timeoutSeconds }: { readonly timeoutSeconds: number },
): Promise<WorkerFigures> {
  const { rows } = await sql<WorkerFigures>`
    select (count(*) filter (where alive and draining_at is null))::int as online,
           (count(*) filter (where alive and draining_at is not null))::int as draining,
           (count(*) filter (where not alive))::int as offline
      from (select draining_at,
                   stopped_at is null and heartbeat_at > now() - make_interval(secs => ${timeoutSeconds}) as alive
              from workers where heartbeat_at > now() - interval '1 day') as known`.execute(db);
  if (!rows[0]) throw new Error('aggregates without groups have one row');
  return rows[0];
}

/** Builds that are not finished, by OpenTelemetry's states of a pipeline run. */
export interface RunStates {
  readonly pending: number;
  readonly executing: number;
  /** The agent has done its part. */
  readonly finalizing: number;
}

export async function readRunStates(db: Database): Promise<RunStates> {
  const { rows } = await sql<RunStates>`
    select (count(*) filter (where status = 'PENDING'))::int as pending,
           (count(*) filter (where status = 'RUNNING' and phase in ('PREPARING', 'AGENT')))::int as executing,
           (count(*) filter (where status = 'RUNNING' and phase not in ('PREPARING', 'AGENT')))::int as finalizing
      from build_audit where status in ('PENDING', 'RUNNING')`.execute(db);
  if (!rows[0]) throw new Error('aggregates without groups have one row');
  return rows[0];
}

/** Workers by OpenTelemetry's states of a worker. */
export interface WorkerStates {
  /** Waits for builds. */
  readonly available: number;
  /** Runs builds, or takes no more of them. */
  readonly busy: number;
  /** Heard of in the last day, and not any more. */
  readonly offline: number;
}

/** `timeoutSeconds`: a worker that was silent for longer is offline. */
export async function readWorkerStates(
  db: Database,
  { timeoutSeconds }: { readonly timeoutSeconds: number },
): Promise<WorkerStates> {
  const { rows } = await sql<WorkerStates>`
    with busy as (select distinct worker_id from build_audit where status = 'RUNNING')
    select (count(*) filter (where alive and not works))::int as available,
           (count(*) filter (where alive and works))::int as busy,
           (count(*) filter (where not alive))::int as offline
      from (select draining_at is not null or busy.worker_id is not null as works,
                   stopped_at is null and heartbeat_at > now() - make_interval(secs => ${timeoutSeconds}) as alive
              from workers left join busy on busy.worker_id = workers.id
             where heartbeat_at > now() - interval '1 day') as known`.execute(db);
  if (!rows[0]) throw new Error('aggregates without groups have one row');
  return rows[0];
}

/** Callbacks that are neither delivered nor given up. */
export async function countWaitingCallbacks(db: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from deliveries where status = 'PENDING'`.execute(db);
  return rows[0]?.count ?? 0;
}

export interface UnknownOutput {
  readonly agent: string;
  readonly version: string;
  /** The kind of the line. */
  readonly name: string;
  readonly count: number;
}

/** What agents say that no adapter knows. */
export async function readUnknownOutput(db: Database): Promise<UnknownOutput[]> {
  return db
    .selectFrom('agent_drift')
    .select(['agent', 'version', 'name', 'count'])
    .orderBy('last_seen_at', 'desc')
    .orderBy('agent')
    .orderBy('version')
    .orderBy('name')
    .limit(MAX_UNKNOWN)
    .execute();
}
