/** A queue with much waiting in it, sorted in and measured. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { Database } from '../src/database/database.ts';
import { PREPARED } from '../src/database/guarded-pool.ts';

export interface Backlog {
  /** `task:a` if absent. Builds have no rows, and must not be claimed. */
  readonly kind?: 'build' | 'task:a';
  readonly projects: number;
  /** Items of each project. */
  readonly each: number;
  /** Besides, items of the first project, all of them older than the others. */
  readonly hot: number;
  /**
   * `none`: first come, first served among projects. `all`: limits of everything, of each project, of the keys in it and of a
   * credential, which never hold anything back and have to be counted; weights; labels; and the first project is at its limit.
   */
  readonly limits: 'none' | 'all';
  /** Each item has one of so many keys, of which one runs at a time. */
  readonly keys?: number;
  /** A limited credential for each project. */
  readonly isGated?: boolean;
}

const TASK = 'task:a';
/** What the worker that claims has; a tenth of the items asks for something else. */
const LABELS = ['linux', 'provider:claude-code', 'provider:scripted'];
const SORTED_AT_ONCE = 10_000;

export async function fillQueue(
  db: Database,
  { kind = TASK, projects, each, hot, limits, keys = 0, isGated = false }: Backlog,
): Promise<void> {
  const isLimited = limits === 'all';
  // The product would open the credential before it runs builds, and this one cannot be opened.
  const hasCredential = isLimited && kind === TASK;
  await sql`insert into projects (id, slug, name, default_branch, created_by)
    select md5(n::text)::uuid, 'p-' || n, 'P', 'main', 'bench' from generate_series(0, ${projects - 1}::int) n`.execute(
    db,
  );
  if (hasCredential) {
    await sql`insert into credentials (id, kind, name, target, sealed, key_id)
      values (${v7()}, 'MODEL_API_KEY', 'shared', 'KEY', 'x', 'k')`.execute(db);
    await sql`select queue_limit_gate(id::text, 1000000000) from credentials`.execute(db);
  }
  if (isLimited) {
    await sql`select queue_limit(1000000000)`.execute(db);
    await sql`insert into queue_owners (project_id, weight, max_running, key_limit)
      select id, 1 + (hashtext(id::text) & 1), 1000000000, 1000000000 from projects`.execute(db);
  }
  if (isGated) {
    await sql`insert into queue_gates (gate, max_running) select id::text, 1000000000 from projects`.execute(db);
  }
  const variable = hasCredential ? 'KEY' : '';
  // The gate of a project is looked up once.
  await sql`with gates as materialized (
      select id as gated, case when ${isGated} then id::text else queue_gate_of(id, ${variable}) end as gate from projects)
    insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
    select gen_random_uuid(), ${kind}, project_id, case when ${isLimited} and n % 4 = 0 then 'key-' || n % 100
                when ${keys}::int > 0 then 'key-' || n / ${projects}::int % greatest(1, ${keys}::int) else '' end,
           ${variable}::text, gate,
           case when not ${isLimited} then '{}'::text[]
                when n % 10 = 9 then array['gpu', 'provider:scripted']
                else array['provider:' || case when n % 2 = 0 then 'scripted' else 'claude-code' end] end,
           0, now() - interval '1 day' + n * interval '1 millisecond', now()
      from (select n, md5('0')::uuid as project_id from generate_series(0, ${hot - 1}::int) n
            union all
            select ${hot}::int + n, md5((n % ${projects}::int)::text)::uuid
              from generate_series(0, ${projects * each - 1}::int) n) made
      join gates on gated = project_id`.execute(db);
  for (;;) {
    const { rows } = await sql<{ n: number }>`select queue_sort_in(${SORTED_AT_ONCE}) as n`.execute(db);
    if (!rows[0]?.n) break;
  }
  if (isLimited) {
    await sql`select queue_configure(md5('0')::uuid, 1, 1, 1)`.execute(db);
    await sql`select id from queue_claim(${v7()}, ${[kind]}::text[], ${LABELS}::text[], 1, array[md5('0')::uuid])`.execute(
      db,
    );
  }
  await sql`vacuum analyze`.execute(db);
}

/** The items that this worker may run now, at most so many; they run from then on. */
export async function claimItems(db: Database, workerId: string, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string | null }>`${sql.raw(PREPARED)}
    select id from queue_claim(${workerId}, ${[TASK]}::text[], ${LABELS}::text[], ${limit})`.execute(db);
  return rows.flatMap(({ id }) => id ?? []);
}

export async function endItems(db: Database, ids: readonly string[]): Promise<void> {
  await sql`${sql.raw(PREPARED)} select queue_remove(id) from unnest(${[...ids]}::uuid[]) id`.execute(db);
}

export async function addItem(db: Database, id: string, project: number): Promise<void> {
  await sql`select queue_add(${id}, ${TASK}, md5(${project}::text)::uuid, '{}', '', '', 0, now(), now())`.execute(db);
}

export async function countItems(db: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*) as n from queue_items`.execute(db);
  return rows[0]?.n ?? 0;
}
