/** A server that is there and says nothing, one that is slow, and sessions that end in the middle. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { CONTROL_LIMITS, WORK_LIMITS } from '../../src/database/session-settings.ts';
import { inTransaction } from '../../src/database/transaction.ts';
import { isTransient } from '../../src/database/transient.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

let database: TestDatabase;
let proxy: TcpProxy;
let opened: AsyncDisposableStack;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  database = opened.use(await openTestDatabase());
  proxy = opened.use(await openTcpProxy(Number(new URL(database.url).port)));
});

afterEach(async () => {
  proxy.disturb(null);
  await opened.disposeAsync();
});

function open(options: Partial<Parameters<typeof openDatabase>[0]> = {}): Database {
  const url = new URL(database.url);
  url.port = String(proxy.port);
  const db = openDatabase({ url: url.href, poolSize: 4, name: 'proxied', logger: createLogger('silent'), ...options });
  opened.defer(() => db.destroy());
  return db;
}

/** What the query rejects with, and after how long. */
async function failure(query: Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const begun = performance.now();
  const error = await query.then(
    () => null,
    (reason: unknown) => reason,
  );
  return { error, ms: Math.round(performance.now() - begun) };
}

const ask = (db: Database) => sql`select 1 as one`.execute(db);

test('every session has its limits', async () => {
  const read = async (db: Database) => {
    const names = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'tcp_user_timeout'];
    const { rows } = await sql<{ name: string; setting: string }>`
      select name, setting from pg_settings where name = any(${[...names, 'transaction_timeout']})`.execute(db);
    return Object.fromEntries(rows.map(({ name, setting }) => [name, Number(setting)]));
  };
  const limits = { idle_in_transaction_session_timeout: 30_000, tcp_user_timeout: 20_000 };
  expect(await read(open())).toMatchObject({
    ...limits,
    statement_timeout: WORK_LIMITS.statementMs,
    lock_timeout: 10_000,
  });
  const control = await read(open({ limits: CONTROL_LIMITS }));
  expect(control).toMatchObject({ ...limits, statement_timeout: CONTROL_LIMITS.statementMs });
  expect(control.transaction_timeout ?? CONTROL_LIMITS.transactionMs).toBe(CONTROL_LIMITS.transactionMs);
});

test('through a pooler the limits are set in each transaction, and nothing stays in the session', async () => {
  const db = open({ throughPooler: true, poolSize: 1 });
  const read = async (on: Database) =>
    (await sql<{ value: string }>`select current_setting('statement_timeout') as value`.execute(on)).rows[0]?.value;
  expect(await db.transaction().execute((trx) => read(trx))).toBe('30s');
  expect(await read(db)).toBe('0');
});

test('queries in flight, queries in a transaction and new ones fail in time when the server falls silent', async () => {
  const db = open();
  await ask(db);
  const slow = sql`select pg_sleep(30)`.execute(db);
  const inside = db.transaction().execute(async (trx) => {
    await ask(trx);
    await sql`select pg_sleep(30)`.execute(trx);
  });
  const watches = sql`select 1 from pg_stat_activity where application_name = 'proxied watch' and query = 'select 1'`;
  await waitFor(async () => (await watches.execute(database.db)).rows.length === 1, { what: 'the watch' });
  proxy.disturb({ kind: 'silence' });
  const failures = await Promise.all([failure(slow), failure(inside), failure(ask(db))]);
  console.log(`silence to failure: ${failures.map(({ ms }) => `${ms} ms`).join(', ')}`);
  for (const { error, ms } of failures) {
    expect(isTransient(error), String(error)).toBe(true);
    expect(ms).toBeLessThan(10_000);
  }
  // Known to be silent: nobody waits for it again.
  const { error, ms } = await failure(ask(db));
  expect(isTransient(error)).toBe(true);
  expect(ms).toBeLessThan(1_000);
  proxy.disturb(null);
  await waitFor(() => ask(db).catch(() => null), { what: 'the recovery' });
});

test('a connection whose answer never came is not used by anybody else', async () => {
  const limits = { ...CONTROL_LIMITS, statementMs: 60_000, answerMs: 300 };
  const db = open({ limits, poolSize: 1 });
  expect(String((await failure(sql`select pg_sleep(5)`.execute(db))).error)).toContain('Query read timeout');
  expect((await ask(db)).rows).toEqual([{ one: 1 }]);
});

test('an answer that takes a second is no silence', async () => {
  const db = open();
  await ask(db);
  proxy.disturb({ kind: 'delay', ms: 500 });
  for (let round = 0; round < 3; round += 1) expect((await ask(db)).rows).toEqual([{ one: 1 }]);
});

test('two transactions in each other’s way are both carried out', async () => {
  const db = open();
  await sql`create table pairs (id int primary key, n int not null)`.execute(database.db);
  await sql`insert into pairs values (1, 0), (2, 0)`.execute(database.db);
  let tries = 0;
  const add = (first: number, second: number) =>
    inTransaction(db, async (trx) => {
      await sql`update pairs set n = n + 1 where id = ${first}`.execute(trx);
      tries += 1;
      // Both hold their first row before either asks for its second.
      await waitFor(() => tries >= 2);
      await sql`update pairs set n = n + 1 where id = ${second}`.execute(trx);
    });
  await Promise.all([add(1, 2), add(2, 1)]);
  expect(tries).toBeGreaterThan(2);
  expect((await sql<{ n: number }>`select n from pairs`.execute(db)).rows).toEqual([{ n: 2 }, { n: 2 }]);
});

test('sessions that are terminated at random give retryable errors only, and no crash', async () => {
  const db = open({ poolSize: 8 });
  const outcomes = { answered: 0, failed: 0, other: [] as unknown[] };
  const until = performance.now() + 2_000;
  const asker = async () => {
    while (performance.now() < until) {
      const work = db.transaction().execute(async (trx) => {
        await ask(trx);
        await sql`select pg_sleep(0.01)`.execute(trx);
      });
      await work.then(
        () => {
          outcomes.answered += 1;
        },
        (error: unknown) => {
          if (isTransient(error)) outcomes.failed += 1;
          else outcomes.other.push(error);
        },
      );
    }
  };
  const killer = async () => {
    while (performance.now() < until) {
      await sql`select pg_terminate_backend(pid), pg_sleep(0.05) from (
        select pid from pg_stat_activity where application_name like 'proxied%' order by random() limit 1) one`.execute(
        database.db,
      );
    }
  };
  await Promise.all([asker(), asker(), asker(), asker(), killer()]);
  console.log(`${outcomes.answered} transactions went through, ${outcomes.failed} were cut off`);
  expect(outcomes.other).toEqual([]);
  expect(outcomes.failed).toBeGreaterThan(0);
  expect(outcomes.answered).toBeGreaterThan(0);
});

test('a hub that is closed while it connects to a silent server does not wait for it', async () => {
  const db = openDatabase({ url: database.url, poolSize: 2, name: 'hub', logger: createLogger('silent') });
  opened.defer(() => db.destroy());
  const url = new URL(database.url);
  url.port = String(proxy.port);
  const hub = new EventHub({ url: url.href, db, logger: createLogger('silent') });
  await hub.open();
  proxy.disturb({ kind: 'silence' });
  const before = proxy.opened;
  proxy.cut();
  await waitFor(() => proxy.opened > before, { what: 'the next connection of LISTEN' });
  await hub[Symbol.asyncDispose]();
  expect(hub.listening).toBe(false);
});
