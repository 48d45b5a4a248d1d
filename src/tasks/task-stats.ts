/** How the tasks are doing that are no builds. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

export interface TaskStats {
  /** That could start now. */
  readonly waiting: number;
  /** Whose time has not come: runAfter, or a pause after a failure. */
  readonly delayed: number;
  readonly running: number;
  /** That have failed for good. */
  readonly dead: number;
  /** Since when the one waits that waits longest. */
  readonly oldestReadyAt: Date | null;
  /** Of the last ten minutes. */
  readonly throughputPerMinute: number;
  /** Milliseconds, of the claims of the last ten minutes. */
  readonly waitP50Ms: number | null;
  readonly waitP95Ms: number | null;
}

export interface TaskStatsFilter {
  /** Any of these; null means all. */
  readonly projectIds: readonly string[] | null;
  readonly type: string | null;
}

export async function readTaskStats(db: Database, { projectIds, type }: TaskStatsFilter): Promise<TaskStats> {
  const which = sql`(${projectIds}::uuid[] is null or project_id = any(${projectIds}::uuid[]))
    and (${type}::text is null or type = ${type})`;
  const { rows } = await sql<TaskStats>`
    select p.waiting, p.delayed, r.running, d.dead, p."oldestReadyAt", f.finished / 10.0::float8 as "throughputPerMinute",
           w.p50 as "waitP50Ms", w.p95 as "waitP95Ms"
      from (select count(*) filter (where ready_at <= now())::integer as waiting,
                   count(*) filter (where ready_at > now())::integer as delayed,
                   min(ready_at) filter (where ready_at <= now()) as "oldestReadyAt"
              from tasks where status = 'PENDING' and ${which}) p,
           (select count(*)::integer as running from tasks where status = 'RUNNING' and ${which}) r,
           (select count(*)::integer as dead from tasks where status = 'FAILED' and ${which}) d,
           (select count(*)::float8 as finished from tasks
             where finished_at > now() - interval '10 minutes' and ${which}) f,
           (select percentile_cont(0.5) within group (order by ms) as p50,
                   percentile_cont(0.95) within group (order by ms) as p95
              from (select greatest(extract(epoch from started_at - ready_at) * 1000, 0)::float8 as ms from tasks
                     where started_at > now() - interval '10 minutes' and status <> 'PENDING' and ${which}) waits) w`.execute(
    db,
  );
  const [stats] = rows;
  if (!stats) throw new Error('an aggregate gives one row');
  return stats;
}
