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
