/** The queue: its places against the rows, and what queue-watch.sql has seen at every claim. */
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import type { Violation } from './promises.ts';

export interface QueueVerdict {
  readonly violations: readonly Violation[];
  /** That were checked; 0 where nobody has watched the queue. */
  readonly claims: number;
  /** How often the one that was passed over most was, in claims. */
  readonly longestWait: { readonly ofProjects: number; readonly ofItems: number };
}

interface Found {
  readonly promise: 'limits' | 'queue' | 'starved';
  readonly id: string | null;
  readonly is_task: boolean;
  readonly detail: string;
}

export async function judgeQueue(db: Database): Promise<QueueVerdict> {
  const found = [...(await findMisplaced(db)), ...(await checkCounters(db))];
  const watched = await isWatched(db);
  if (watched) found.push(...(await readBreaches(db)));
  const violations = found.map(({ promise, id, is_task: isTask, detail }): Violation => {
    const whose = id === null ? {} : isTask ? { taskId: id } : { buildId: id };
    return { promise, ...whose, detail };
  });
  const { rows } = watched ? await readSeen(db) : { rows: [] };
  const { claims = 0, projects = 0, items = 0 } = rows[0] ?? {};
  return { violations, claims, longestWait: { ofProjects: projects, ofItems: items } };
}

export async function isWatched(db: Database): Promise<boolean> {
  const { rows } = await sql<{ there: boolean }>`select to_regclass('oracle_claims') is not null as there`.execute(db);
  return rows[0]?.there ?? false;
}

/** One statement: it may look while something goes on. */
async function findMisplaced(db: Database): Promise<Found[]> {
  const { rows } = await sql<Found>`
    with rows as materialized (
      select id, status, false as is_task from build_audit union all select id, status, true from tasks
    ), items as materialized (
      select id, claimed_at is not null as taken, kind like 'task:%' as is_task from queue_items
    )
    select 'queue' as promise, coalesce(r.id, i.id) as id, coalesce(r.is_task, i.is_task) as is_task,
           case when i.id is null then format('it is %s, and not in the queue', r.status)
                when r.id is null then 'it is in the queue, and not there'
                when r.status not in ('PENDING', 'RUNNING') then format('it is %s, and still in the queue', r.status)
                else format('it is %s, and its place in the queue is %s', r.status,
                            case when i.taken then 'taken' else 'not taken' end) end as detail
      from rows r full join items i on i.id = r.id
     where (i.id is null and r.status in ('PENDING', 'RUNNING')) or r.id is null
        or (i.id is not null and (r.status not in ('PENDING', 'RUNNING') or i.taken <> (r.status = 'RUNNING')))
     order by 2`.execute(db);
  return rows;
}

/** It first counts what is gone, as any claim does. */
async function checkCounters(db: Database): Promise<Found[]> {
  const { rows } = await sql<{ queue_check: string }>`select queue_check()`.execute(db);
  return rows.map(({ queue_check: detail }) => ({ promise: 'queue', id: null, is_task: false, detail }));
}

/** A claim that nobody has checked is a breach, too. */
async function readBreaches(db: Database): Promise<Found[]> {
  const { rows } = await sql<Found>`
    select promise, id, is_task, detail from oracle_breaches
    union all
    select 'limits', c.id, c.is_task, format('its claim %s was not checked', c.attempt_no)
      from (select build_id as id, attempt_no, false as is_task from build_events where type = 'STARTED'
            union all
            select task_id, attempt_no, true from task_events where type = 'CLAIMED') c
     where not exists (select from oracle_claims o where o.id = c.id and o.attempt_no = c.attempt_no)`.execute(db);
  return rows;
}

function readSeen(db: Database) {
  return sql<{ claims: number; projects: number; items: number }>`
    select (select count(*)::int from oracle_claims) as claims,
           coalesce(max(longest) filter (where subject = project_id), 0) as projects,
           coalesce(max(longest) filter (where subject <> project_id), 0) as items
      from oracle_passed`.execute(db);
}
