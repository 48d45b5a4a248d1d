/** Why what waits does, as the rows of the queue say it: one expression for one build or task, a list, and all builds. */
import { type RawBuilder, sql } from 'kysely';
import { type BuildFilter, filterBuilds } from '../builds/filter-builds.ts';
import type { Database } from '../database/database.ts';
import { RUN_TASK_TYPES } from '../task-runs/task-run.ts';
import { liveWorkers } from './live-workers.ts';

/** The first that holds is told: what somebody has to end, what ends by itself, and then what limits and workers say. */
export const WAIT_REASONS = [
  'PAUSED',
  'PROJECT_PAUSED',
  'RUN_AFTER',
  'QUOTA',
  'NO_WORKER',
  'LIMIT',
  'PROJECT_LIMIT',
  'KEY_LIMIT',
  'CREDENTIAL_LIMIT',
  'NO_FREE_SLOT',
  'NEXT',
] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];

/** Items that have ended and that the next claim will count: looked through for what is free already. */
const MAX_UNCOUNTED = 10_000;

export interface Wait {
  readonly id: string;
  readonly projectId: string;
  readonly code: WaitReason;
  readonly readyAt: Date;
  /** Of what is paused. */
  readonly pausedAt: Date | null;
  /** Of the limit that holds it back. */
  readonly max: number | null;
  readonly key: string | null;
  /** Labels that a worker must have. */
  readonly needs: readonly string[];
  readonly isTask: boolean;
  /** With NO_WORKER: the worker that lacks the fewest of them; null where none that takes such work lives. */
  readonly nearest: { readonly name: string; readonly missing: readonly string[] } | null;
  /** Places of the workers that have all of them, and how many of these are free. */
  readonly slots: number;
  readonly free: number;
  /** How many run, and may, in all and of its project. */
  readonly running: number;
  readonly maxRunning: number | null;
  readonly projectRunning: number;
  readonly projectMax: number | null;
}

/** The common table expressions `live` and `reasons`: each of these builds that waits, with its `code`. `ids`: or of tasks. */
export function waitReasons(
  db: Database,
  filter: BuildFilter & { readonly ids?: readonly string[] },
): RawBuilder<unknown> {
  const { ids } = filter;
  const builds = filterBuilds(
    db.selectFrom('build_audit').select(['id', 'project_id', 'provider', 'waiting_for', 'run_after', 'created_at']),
    { ...filter, statuses: ['PENDING'] },
  ).$if(ids !== undefined, (q) => q.where(sql<boolean>`id = any(${ids}::uuid[])`));
  const rows = sql`
    select b.*, false as is_task, true as by_workers from (${builds}) b ${ids ? waitingTasks(ids) : sql``}`;
  // All of them at once: one by one, by an index, is what Postgres takes for better as long as it knows little of the builds.
  const items = ids === undefined ? sql`(select * from queue_items offset 0)` : sql`queue_items`;
  return sql`
    live as materialized (${liveWorkers()}),
    waiting as materialized (
      select b.*, coalesce(i.key, '') as key, coalesce(i.gate, '') as gate, i.needs,
             coalesce(i.ready_at, b.created_at) as ready_at,
             b.project_id in (select id from projects where repository_url is null or repository_url like '/%') as near
        from (${rows}) b left join ${items} i on i.id = b.id),
    gone as materialized (
      select project_id, key, gate from queue_removals where ran order by seq limit ${MAX_UNCOUNTED}),
    able as materialized (
      select c.needs, c.is_task, c.near, count(l.name) as workers, coalesce(sum(l.capacity), 0)::int as slots,
             coalesce(sum(l.free), 0)::int as free
        from (select distinct needs, is_task, near from waiting where needs is not null and by_workers) c
        left join live l on c.needs <@ l.labels and (l.takes_tasks or not c.is_task) and not (l.remote and c.near)
       group by c.needs, c.is_task, c.near),
    counted as (
      select w.*, s.paused_at as all_paused_at, s.max_running, s.running - (select count(*) from gone)::int as running,
             o.paused_at as project_paused_at, o.max_running as project_max,
             coalesce(o.running, 0) - coalesce(go.items, 0)::int as project_running,
             case when w.key <> '' then coalesce(k.max_running, o.key_limit, 1) end as key_max,
             coalesce(k.running, 0) - coalesce(gk.items, 0)::int as key_running,
             g.max_running as gate_max, g.running - coalesce(gg.items, 0)::int as gate_running,
             a.workers, coalesce(a.slots, 0) as slots, coalesce(a.free, 0) as free
        from waiting w cross join queue_state s
        left join queue_owners o on o.project_id = w.project_id
        left join queue_keys k on k.project_id = w.project_id and k.key = w.key
        left join queue_gates g on g.gate = w.gate
        left join able a on a.needs = w.needs and a.is_task = w.is_task and a.near = w.near
        left join (select project_id, count(*) as items from gone group by 1) go on go.project_id = w.project_id
        left join (select project_id, key, count(*) as items from gone group by 1, 2) gk
          on gk.project_id = w.project_id and gk.key = w.key
        left join (select gate, count(*) as items from gone group by 1) gg on gg.gate = w.gate),
    reasons as (
      select c.*,
             case when all_paused_at is not null then 'PAUSED'
                  when project_paused_at is not null then 'PROJECT_PAUSED'
                  when ready_at > now() and waiting_for is distinct from 'QUOTA' then 'RUN_AFTER'
                  when ready_at > now() then 'QUOTA'
                  -- About to be put into the queue.
                  when needs is null then 'NEXT'
                  when by_workers and workers = 0 then 'NO_WORKER'
                  when running >= max_running then 'LIMIT'
                  when project_running >= project_max then 'PROJECT_LIMIT'
                  when key_running >= key_max then 'KEY_LIMIT'
                  when gate_running >= gate_max then 'CREDENTIAL_LIMIT'
                  when by_workers and free = 0 then 'NO_FREE_SLOT'
                  else 'NEXT' end as code
        from counted c)`;
}

/** Tasks beside builds, in the same columns. Who takes tasks of a type of one's own, nobody knows. */
function waitingTasks(ids: readonly string[]): RawBuilder<unknown> {
  return sql`
    union all select id, project_id, null::text as provider, null::text as waiting_for, null::timestamptz as run_after, created_at,
           true as is_task, type = any(${[...RUN_TASK_TYPES]}::text[]) as by_workers
      from tasks where id = any(${ids}::uuid[]) and status = 'PENDING'`;
}

/** Of these builds and tasks those that wait. */
export async function readWaits(db: Database, ids: readonly string[]): Promise<Map<string, Wait>> {
  const { rows } = await sql<Wait>`
    with ${waitReasons(db, { ids })}
    select r.id, r.project_id as "projectId", r.code, r.ready_at as "readyAt", nullif(r.key, '') as key,
           coalesce(r.needs, '{}') as needs, r.is_task as "isTask", r.slots, r.free, r.running, r.max_running as "maxRunning",
           r.project_running as "projectRunning", r.project_max as "projectMax", to_jsonb(nearest) as nearest,
           case r.code when 'PAUSED' then r.all_paused_at when 'PROJECT_PAUSED' then r.project_paused_at end as "pausedAt",
           case r.code when 'LIMIT' then r.max_running when 'PROJECT_LIMIT' then r.project_max
                       when 'KEY_LIMIT' then r.key_max when 'CREDENTIAL_LIMIT' then r.gate_max end as max
      from reasons r
      left join lateral (
        select l.name, array(select unnest(r.needs) except select unnest(l.labels) order by 1) as missing
          from live l where r.code = 'NO_WORKER' and (l.takes_tasks or not r.is_task)
         order by cardinality(array(select unnest(r.needs) except select unnest(l.labels))), l.name limit 1
      ) nearest on true`.execute(db);
  return new Map(rows.map((row) => [row.id, row]));
}

/** Its time has come, nothing is paused, and somebody could run it: only places and limits decide when it starts. */
export function couldStart({ code }: Wait): boolean {
  return !['PAUSED', 'PROJECT_PAUSED', 'RUN_AFTER', 'QUOTA', 'NO_WORKER'].includes(code);
}

/** For people. */
export function explainWait(wait: Wait): string {
  const { code, readyAt, pausedAt, max, key } = wait;
  const ofLimit = `${max} may run at the same time, and ${max === 1 ? 'it does' : 'they do'}.`;
  const messages: Record<WaitReason, () => string> = {
    PAUSED: () => `Everything is paused since ${pausedAt?.toISOString()}: it waits until the queue is resumed.`,
    PROJECT_PAUSED: () => `Its project is paused since ${pausedAt?.toISOString()}: it waits until that is resumed.`,
    RUN_AFTER: () => `Its time has not come: it starts after ${readyAt.toISOString()}.`,
    QUOTA: () => `The key of its agent is at its provider's rate limit: it goes on after ${readyAt.toISOString()}.`,
    NO_WORKER: () => explainLabels(wait),
    LIMIT: () => `The limit of all projects together holds it back: ${ofLimit}`,
    PROJECT_LIMIT: () => `The limit of its project holds it back: ${ofLimit}`,
    KEY_LIMIT: () => `The limit of its concurrency key ${key} holds it back: ${ofLimit}`,
    CREDENTIAL_LIMIT: () => `The limit of the credential that its agent would use holds it back: ${ofLimit}`,
    NO_FREE_SLOT: () => `The workers that can run it have no free place: all ${wait.slots} are taken.`,
    NEXT: () => 'Nothing holds it back: it starts when its turn comes.',
  };
  return messages[code]();
}

function explainLabels({ needs, nearest, isTask }: Wait): string {
  const labels =
    needs.length === 0 ? 'lives' : `has ${needs.length === 1 ? 'the label' : 'all the labels'} ${needs.join(', ')}`;
  const wanted = `No worker that takes ${isTask ? 'tests and deployments' : 'builds'} ${labels}`;
  if (!nearest) return needs.length === 0 ? `${wanted}: start one.` : `${wanted}. None lives: start one.`;
  if (nearest.missing.length > 0)
    return `${wanted}. Nearest is ${nearest.name}, which lacks ${nearest.missing.join(', ')}.`;
  return `${wanted} and is beside the database, where the project's repository is. ${nearest.name} is elsewhere.`;
}
