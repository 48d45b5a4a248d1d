/** Builds of long ago, written by SQL: what a database holds after months. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { Database } from '../../src/database/database.ts';

export interface OldBuilds {
  readonly projectId: string;
  /** When the first was created; the others follow, a second apart. */
  readonly at: Date;
  readonly count: number;
  readonly eventsEach: number;
  readonly status?: 'COMPLETED' | 'PENDING';
}

/** Finished (or waiting) builds with their events, a log chunk, and the partitions of the weeks they lie in. */
export async function addOldBuilds(db: Database, old: OldBuilds): Promise<void> {
  const { projectId, at, count, eventsEach, status = 'COMPLETED' } = old;
  const finished = status === 'COMPLETED';
  const last = new Date(at.getTime() + count * 1_000);
  await sql`select ensure_build_partition(parent, week) from unnest(array['build_logs', 'build_events']) parent,
    generate_series(date_trunc('week', ${at}::timestamptz at time zone 'UTC'), ${last}::timestamptz at time zone 'UTC',
      interval '1 week') week`.execute(db);
  const tag = v7().slice(-12);
  await sql`
    with numbered as (
      update projects set build_count = build_count + ${count}::int where id = ${projectId}::uuid returning build_count
    ), old as (
      select n, ${at}::timestamptz + n * interval '1 second' as at from generate_series(1, ${count}::int) n
    ), built as (
      insert into build_audit (id, project_id, number, status, phase, source, spec, attempt_no, last_seq, last_line,
                               result, requested_by, created_at, started_at, finished_at)
      select overlay(uuid_v7_floor(old.at)::text placing ${tag} from 25)::uuid, ${projectId}::uuid,
             build_count - ${count}::int + n,
             ${status}, ${finished ? 'DONE' : 'QUEUED'}, 'API', '{"prompt":"x","provider":"scripted","branch":"main"}',
             1, ${eventsEach}::int, 1, ${finished ? '{"success":true}' : null}::jsonb, 'test', old.at,
             case when ${finished} then old.at end, case when ${finished} then old.at end
        from old, numbered returning id, created_at
    ), logged as (
      insert into build_logs (build_id, first_line, line_count, attempt_no, at, content)
      select id, 1, 1, 1, created_at, 'x' from built
    )
    insert into build_events (build_id, seq, attempt_no, type, at, data)
    select id, seq, 1, case when seq = ${eventsEach}::int and ${finished} then 'FINISHED' else 'PROGRESS' end,
           created_at, '{"message":"long ago"}'
      from built, generate_series(1, ${eventsEach}::int) seq`.execute(db);
}
