/** What an operator watches, over all projects: each is one query that reads an index or a small table. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

/** Of the kinds of output that no adapter knows: those that were seen last. */
const MAX_UNKNOWN = 1_000;

/** Builds that are not finished. */
export interface BuildFigures {
  readonly pending: number;
  /** A worker has it, and the agent has not done its part yet. */
  readonly executing: number;
  /** The agent has done its part. */
  readonly finalizing: number;
  /** Seconds that the oldest build waits which could begin now; 0 when there is none. */
  readonly oldestPendingSeconds: number;
}

export async function readBuildFigures(db: Database): Promise<BuildFigures> {
  const { rows } = await sql<BuildFigures>`
    select (count(*) filter (where status = 'PENDING'))::int as pending,
           (count(*) filter (where status = 'RUNNING' and phase in ('PREPARING', 'AGENT')))::int as executing,
           (count(*) filter (where status = 'RUNNING' and phase not in ('PREPARING', 'AGENT')))::int as finalizing,
           coalesce(extract(epoch from now() - min(greatest(created_at, run_after)) filter (where status = 'PENDING'
             and waiting_for is null and (run_after is null or run_after <= now()))), 0)::float8 as "oldestPendingSeconds"
      from build_audit where status in ('PENDING', 'RUNNING')`.execute(db);
  return onlyRow(rows);
}

/** Each worker is one of these. */
export interface WorkerFigures {
  /** Waits for builds. */
  readonly available: number;
  readonly working: number;
  /** Takes no more builds. */
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
    with busy as (select distinct worker_id from build_audit where status = 'RUNNING')
    select (count(*) filter (where alive and not drains and not works))::int as available,
           (count(*) filter (where alive and not drains and works))::int as working,
           (count(*) filter (where alive and drains))::int as draining,
           (count(*) filter (where not alive))::int as offline
      from (select coalesce(draining_at, cordoned_at) is not null as drains, busy.worker_id is not null as works,
                   stopped_at is null and heartbeat_at > now() - make_interval(secs => ${timeoutSeconds}) as alive
              from workers left join busy on busy.worker_id = workers.id
             where evicted_at is null and heartbeat_at > now() - interval '1 day') as known`.execute(db);
  return onlyRow(rows);
}

function onlyRow<T>([row]: readonly T[]): T {
  if (!row) throw new Error('aggregates without groups have one row');
  return row;
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
