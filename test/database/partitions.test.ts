/** Partitions that were not made in time, and what has landed in the default one meanwhile. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate } from '../../src/database/migrate.ts';
import { ensurePartitions } from '../../src/database/partitions.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';

const WEEK_MS = 7 * 24 * 3_600_000;

let database: TestDatabase;

beforeEach(async () => {
  database = await openTestDatabase();
});

afterEach(async () => {
  await database[Symbol.asyncDispose]();
});

async function partitionsOf(parent: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select inhrelid::regclass::text as name from pg_inherits where inhparent = ${parent}::regclass order by 1`.execute(
    database.db,
  );
  return rows.map((row) => row.name).filter((name) => !name.endsWith('_default'));
}

/** As if nobody had looked after them for weeks. */
async function dropPartitions(): Promise<void> {
  for (const name of [...(await partitionsOf('build_events')), ...(await partitionsOf('build_logs'))]) {
    await sql`drop table ${sql.table(name)}`.execute(database.db);
  }
}

const addEvents = (buildId: string, count: number) =>
  sql`insert into build_events (build_id, seq, attempt_no, type, at, data)
      select ${buildId}::uuid, n, 1, 'PROGRESS', now(), '{}' from generate_series(1, ${count}::integer) n`.execute(
    database.db,
  );

const addLog = (buildId: string) =>
  sql`insert into build_logs (build_id, first_line, line_count, attempt_no, at, content)
      values (${buildId}, 1, 1, 1, now(), 'x')`.execute(database.db);

async function countIn(table: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) from ${sql.table(table)}`.execute(database.db);
  return rows[0]?.count ?? 0;
}

test('rows in the default partition move into the new one, and nothing else changes', async () => {
  const before = await partitionsOf('build_events');
  const storage = () =>
    sql`select attstorage from pg_attribute a join pg_inherits i on i.inhrelid = a.attrelid
         where i.inhparent = 'build_logs'::regclass and attname = 'content' and attstorage <> 'e'`.execute(database.db);
  await dropPartitions();
  const [now, nextWeek] = [v7(), v7({ msecs: Date.now() + WEEK_MS })];
  for (const id of [now, nextWeek]) {
    await addEvents(id, 3);
    await addLog(id);
  }
  expect(await countIn('build_events_default')).toBe(6);
  expect(await ensurePartitions(database.db)).toEqual([]);
  expect(await partitionsOf('build_events')).toEqual(before);
  expect(await partitionsOf('build_logs')).toHaveLength(before.length);
  for (const parent of ['build_events', 'build_logs']) expect(await countIn(`${parent}_default`)).toBe(0);
  expect(await countIn('build_events')).toBe(6);
  expect(await countIn('build_logs')).toBe(2);
  expect((await storage()).rows).toEqual([]);
  await expect(addEvents(now, 1)).rejects.toThrow('duplicate key');
});

test('who writes while rows move waits, and is not refused', async () => {
  await dropPartitions();
  const waiting = (count: number) =>
    waitFor(async () => {
      const { rows } = await sql<{ count: number }>`
        select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
        database.db,
      );
      return rows[0]?.count === count;
    });
  const { ensuring, late } = await database.db.transaction().execute(async (trx) => {
    await sql`insert into build_events values (${v7()}, 1, 1, 'PROGRESS', now(), '{}')`.execute(trx);
    const ensuring = ensurePartitions(database.db);
    await waiting(1);
    const late = addEvents(v7(), 1);
    await waiting(2);
    return { ensuring: () => ensuring, late: () => late };
  });
  expect(await ensuring()).toEqual([]);
  await late();
  expect(await countIn('build_events_default')).toBe(0);
  expect(await countIn('build_events')).toBe(2);
});

test('one partition that cannot be made does not stop the others', async () => {
  await dropPartitions();
  const monday = sql`(date_trunc('week', now() at time zone 'UTC') + interval '1 week') at time zone 'UTC'`;
  const { rows } = await sql<{ low: string; high: string }>`
    select uuid_v7_floor(${monday}) as low, uuid_v7_floor(${monday} + interval '1 day') as high`.execute(database.db);
  const [low, high] = [rows[0]?.low, rows[0]?.high].map((id) => sql.lit(id));
  await sql`create table in_the_way partition of build_logs for values from (${low}) to (${high})`.execute(database.db);
  const problems = await ensurePartitions(database.db);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(/^build_logs from \d{4}-\d\d-\d\d: .*overlap/);
  expect(await partitionsOf('build_events')).toHaveLength(5);
  expect(await partitionsOf('build_logs')).toHaveLength(5);
  await sql`drop table in_the_way`.execute(database.db);
  expect(await ensurePartitions(database.db)).toEqual([]);
  expect(await partitionsOf('build_logs')).toHaveLength(5);
});

test('more rows than one call may move stay where they are, and are found', async () => {
  await dropPartitions();
  await addEvents(v7(), 100_001);
  expect(await ensurePartitions(database.db)).toEqual([]);
  expect(await partitionsOf('build_events')).toHaveLength(4);
  expect(await countIn('build_events')).toBe(100_001);
});

test('`migrate` makes them, also when there is nothing to apply', async () => {
  await dropPartitions();
  expect(await migrate(database.db)).toEqual([]);
  expect(await partitionsOf('build_events')).toHaveLength(5);
});

test('weeks begin on Monday in UTC, also where the clocks of the session change in between', async () => {
  const bounds = await database.db.transaction().execute(async (trx) => {
    await sql`set local time zone 'America/New_York'`.execute(trx);
    await sql`select ensure_build_partition('build_events', '2033-03-07')`.execute(trx);
    const { rows } = await sql<{ bounds: string }>`
      select pg_get_expr(relpartbound, oid) as bounds from pg_class where relname = 'build_events_2033w10'`.execute(
      trx,
    );
    return rows[0]?.bounds;
  });
  const floor = (at: string) =>
    `${Date.parse(at).toString(16).padStart(12, '0').replace(/^.{8}/, '$&-')}-0000-0000-000000000000`;
  expect(bounds).toBe(`FOR VALUES FROM ('${floor('2033-03-07T00:00Z')}') TO ('${floor('2033-03-14T00:00Z')}')`);
});
