import { sql } from 'kysely';
import { v4 as uuid } from 'uuid';
import { expect, test } from 'vitest';
import { findViewers } from '../../src/auth/authenticate.ts';
import { findBuildSummaries } from '../../src/builds/build.ts';
import { listBuildsTogether } from '../../src/builds/list-builds.ts';
import { PREPARED } from '../../src/database/guarded-pool.ts';
import { isTransient } from '../../src/database/transient.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { findProjects } from '../../src/projects/project.ts';
import { openTestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';

test('a connection that is lost inside a transaction, between two queries, fails that transaction alone', async () => {
  await using database = await openTestDatabase();
  const { db } = database;
  const transaction = db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
    const pid = rows[0]?.pid ?? 0;
    await sql`select pg_terminate_backend(${pid})`.execute(db);
    const isGone = async () => {
      const found = await sql`select 1 from pg_stat_activity where pid = ${pid}`.execute(db);
      return found.rows.length === 0;
    };
    await waitFor(isGone, { what: 'the end of the connection' });
    await sql`select 1`.execute(trx);
  });
  const error = await transaction.catch((reason: unknown) => reason);
  expect(isTransient(error)).toBe(true);
  expect((await sql<{ one: number }>`select 1 as one`.execute(db)).rows).toEqual([{ one: 1 }]);
});

test('what is prepared is parsed once, and again after a migration has changed what it gives', async () => {
  await using database = await openTestDatabase();
  const { db } = database;
  await sql`create table pets (name text)`.execute(db);
  await sql`insert into pets values ('Rex')`.execute(db);
  const read = () =>
    db.connection().execute(async (one) => {
      const { rows } = await sql`${sql.raw(PREPARED)} select * from pets where name = ${'Rex'}`.execute(one);
      const { rows: prepared } = await sql<{ n: number }>`
        select count(*) as n from pg_prepared_statements where statement like '%from pets%'`.execute(one);
      return { rows, prepared: prepared[0]?.n };
    });
  expect(await read()).toEqual({ rows: [{ name: 'Rex' }], prepared: 1 });
  await sql`alter table pets add column age integer`.execute(db);
  expect(await read()).toEqual({ rows: [{ name: 'Rex', age: null }], prepared: 2 });
  expect(await read()).toEqual({ rows: [{ name: 'Rex', age: null }], prepared: 2 });
});

test('what is asked all day is prepared', async () => {
  await using database = await openTestDatabase();
  const prepared = await database.db.connection().execute(async (one) => {
    const id = uuid();
    await findViewers(one, [Buffer.alloc(32)]);
    await findProjects(one, [id]);
    await findBuildSummaries(one, [id, uuid()]);
    await readEvents(one, { buildId: id, after: 0, limit: 1 });
    await appendEvents(one, { buildId: id, attemptNo: null }, []);
    const keyset = { direction: 'desc', after: null, before: null, limit: 1, fromEnd: false } as const;
    await listBuildsTogether(one, { projectIds: [id] }, keyset);
    // Of these there are too many.
    await listBuildsTogether(one, { branch: 'main' }, keyset);
    const { rows } = await sql<{ statement: string }>`select statement from pg_prepared_statements`.execute(one);
    return rows.map(({ statement }) => /(?:from|append_)\W*(\w+)/.exec(statement)?.[1]).sort();
  });
  const audit = ['build_audit', 'build_audit'];
  expect(prepared).toEqual([...audit, 'build_events', 'build_events', 'projects', 'valid_token_secrets']);
});

/** Of each rule: a row that keeps all the others. `open` is PENDING, `ended` COMPLETED. */
const WRONG_BUILDS: readonly (readonly [rule: string, row: 'open' | 'ended', change: string])[] = [
  ['status', 'open', "status = 'LOST'"],
  ['phase', 'open', "phase = 'SOON'"],
  ['source', 'open', "source = 'NOBODY'"],
  ['waiting_for', 'open', "waiting_for = 'GODOT'"],
  ['queued', 'open', "phase = 'AGENT'"],
  ['done', 'ended', "phase = 'AGENT'"],
  ['finished_at', 'open', 'finished_at = now()'],
  ['result', 'open', "result = '{}'"],
  ['result', 'ended', 'result = null'],
  ['failure', 'ended', "failure = '{}'"],
  ['failure', 'ended', "status = 'FAILED'"],
  ['lease_until', 'open', 'lease_until = now()'],
  ['running', 'open', "status = 'RUNNING', phase = 'AGENT', lease_until = now(), attempt_no = 1, started_at = now()"],
  ['resume_at', 'open', 'resume_at = now()'],
  ['resume_at', 'open', "waiting_for = 'QUOTA'"],
  ['pushed_sha', 'ended', "pushed_sha = 'a', push_intent_sha = 'b'"],
  ['idempotency_key', 'open', "idempotency_key = 'k'"],
  ['superseded_by', 'open', 'superseded_by = id'],
  ['scheduled_for', 'open', 'scheduled_for = now()'],
  ['traceparent_check', 'open', "traceparent = '00'"],
];
const WRONG_PROJECTS = [
  ['status', "status = 'GONE'"],
  ['archived_at', 'archived_at = now()'],
  ['archived_at', "status = 'ARCHIVED'"],
  ['creation_key', "creation_key = 'k'"],
  ...['', '-a', 'a-', 'A', 'a_b', 'ä', 'a'.repeat(64)].map((slug) => ['slug', `slug = '${slug}'`] as const),
] as const;

test('a row of a build or a project that does not agree with itself is refused, by the name of the rule', async () => {
  await using database = await openTestDatabase();
  const { db } = database;
  const [projectId, open, ended] = [uuid(), uuid(), uuid()];
  await sql`insert into projects (id, slug, name, default_branch, created_by)
    values (${projectId}, 'p', 'P', 'main', 'test')`.execute(db);
  const insert = (id: string, number: number, columns: string, values: string) =>
    sql`insert into build_audit (id, project_id, number, source, spec, requested_by ${sql.raw(columns)})
      values (${id}, ${projectId}, ${number}, 'API', '{"provider": "scripted", "branch": "main"}', 'test' ${sql.raw(values)})`.execute(
      db,
    );
  await insert(open, 1, '', '');
  await insert(ended, 2, ', status, phase, result, finished_at', ", 'COMPLETED', 'DONE', '{}', now()");
  const refused = async (query: string) => {
    const error: unknown = await sql
      .raw(query)
      .execute(db)
      .catch((reason: unknown) => reason);
    const { code, table, constraint } = error as { code?: string; table?: string; constraint?: string };
    return [code, `${constraint}`.replace(`${table}_`, '')];
  };
  for (const [rule, row, change] of WRONG_BUILDS) {
    const query = `update build_audit set ${change} where id = '${row === 'open' ? open : ended}'`;
    expect([query, ...(await refused(query))]).toEqual([query, '23514', rule]);
  }
  for (const [rule, change] of WRONG_PROJECTS) {
    const query = `update projects set ${change}`;
    expect([query, ...(await refused(query))]).toEqual([query, '23514', rule]);
  }
  await expect(insert(uuid(), 3, ', status', ", 'RUNNING'")).rejects.toMatchObject({ code: '23514' });
});
