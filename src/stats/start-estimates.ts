/** When a waiting build can be expected to start: from how long builds have taken, and the places that there are. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { couldStart, type Wait } from './wait-reasons.ts';

/** The last builds of a project, and of all, that are looked at: of those that were not cancelled the middle counts. */
const LAST_OF_PROJECT = 100;
const LAST_OF_ALL = 300;

/** Milliseconds that builds take from their claim to their end: of the project, else of all; no entry where none has ended. */
export async function readUsualDurations(db: Database, projectIds: readonly string[]): Promise<Map<string, number>> {
  const median = sql`percentile_cont(0.5) within group (order by extract(epoch from finished_at - started_at) * 1000)
      filter (where status in ('COMPLETED', 'FAILED') and started_at is not null)`;
  const { rows } = await sql<{ projectId: string; duration: number | null }>`
    with of_all as materialized (
      select ${median} as duration
        from (select status, started_at, finished_at from build_audit
               where finished_at is not null order by finished_at desc limit ${LAST_OF_ALL}) last)
    select p.id as "projectId", coalesce(own.duration, of_all.duration) as duration
      from unnest(${[...projectIds]}::uuid[]) p (id) cross join of_all
      left join lateral (
        select ${median} as duration
          from (select status, started_at, finished_at from build_audit
                 where project_id = p.id and finished_at is not null
                 order by finished_at desc limit ${LAST_OF_PROJECT}) last) own on true`.execute(db);
  return new Map(rows.flatMap(({ projectId, duration }) => (duration === null ? [] : [[projectId, duration]])));
}

/**
 * Places are taken for `durationMs` each and become free one after the other. Null where nobody can say: what is paused, what
 * no worker can take, and where no build has ended yet.
 */
export function estimateStart(
  wait: Wait,
  { position, durationMs, now = new Date() }: { position: number | null; durationMs: number | null; now?: Date },
): Date | null {
  if ((wait.code === 'RUN_AFTER' || wait.code === 'QUOTA') && wait.slots > 0) return wait.readyAt;
  if (!couldStart(wait) || position === null) return null;
  const places = Math.min(wait.slots, wait.maxRunning ?? wait.slots, wait.projectMax ?? wait.slots);
  if (places <= 0) return null;
  const free = Math.min(
    wait.free,
    (wait.maxRunning ?? Number.POSITIVE_INFINITY) - wait.running,
    (wait.projectMax ?? Number.POSITIVE_INFINITY) - wait.projectRunning,
  );
  const isHeld = wait.code === 'KEY_LIMIT' || wait.code === 'CREDENTIAL_LIMIT';
  const ends = Math.max(isHeld ? 1 : 0, position - Math.max(0, free));
  if (ends === 0) return now;
  return durationMs === null ? null : new Date(now.getTime() + Math.round((ends * durationMs) / places));
}
