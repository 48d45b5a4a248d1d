/** Many builds that have ended long ago, for whoever looks at what grows with them. */
import { sql } from 'kysely';
import type { Database } from '../src/database/database.ts';

const AT_ONCE = 100_000;

/** Spread over the projects that there are, all older than any other build. */
export async function storeBuilds(db: Database, count: number): Promise<void> {
  // They are nobody's work any more: neither queue nor statistics are to learn of them.
  await sql`alter table build_audit disable trigger all`.execute(db);
  const indexes = await dropIndexes(db);
  for (let from = 0; from < count; from += AT_ONCE) {
    await sql`with p as materialized (select array_agg(id) as ids, count(*)::int as n, max(build_count) as last from projects)
      insert into build_audit (id, project_id, number, source, spec, requested_by, status, phase, attempt_no, last_seq,
                               created_at, started_at, finished_at, result)
      select uuidv7(make_interval(secs => n.n - ${count}::int)), p.ids[1 + n.n % p.n], p.last + 1 + n.n / p.n,
             'API', '{"provider": "scripted", "branch": "main", "prompt": "x"}', 'token_bench', 'COMPLETED', 'DONE', 1, 4,
             now(), now(), now(), '{}'
        from p, generate_series(${from}::int, ${Math.min(count, from + AT_ONCE) - 1}::int) n(n)`.execute(db);
  }
  for (const index of indexes) await sql.raw(index).execute(db);
  await sql`alter table build_audit enable trigger all`.execute(db);
  await sql`update projects set build_count = l.last
    from (select max(number) as last from build_audit) l`.execute(db);
  await sql`vacuum analyze build_audit`.execute(db);
}

/** Those that no constraint needs; gives what makes them again, which is faster for many rows than to keep them. */
async function dropIndexes(db: Database): Promise<string[]> {
  const { rows } = await sql<{ name: string; text: string }>`
    select quote_ident(relname) as name, pg_get_indexdef(indexrelid) as text from pg_index join pg_class on oid = indexrelid
     where indrelid = 'build_audit'::regclass and not exists (select from pg_constraint where conindid = indexrelid)`.execute(
    db,
  );
  for (const { name } of rows) await sql.raw(`drop index ${name}`).execute(db);
  return rows.map(({ text }) => text);
}
