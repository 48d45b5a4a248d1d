/** A database that is there and has no time: slow queries, held locks, a notification queue that nobody empties. */
import { sql } from 'kysely';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { setLimits, WORK_LIMITS } from '../../src/database/session-settings.ts';
import { isTransient } from '../../src/database/transient.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import { openTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { openScene, type Scene, untilAgentRuns } from './stranded-builds.ts';

let opened: AsyncDisposableStack;
let scene: Scene;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  scene = opened.use(await openScene({ SLIPWAY_DATABASE_POOL: '4' }));
});

afterEach(async () => {
  await opened.disposeAsync();
});

test('200 slow queries at once cost no lease, and who finds no connection is told to try again', async () => {
  const { db } = scene.stack.orchestrator;
  const worker = await scene.stack.openWorker(2);
  const build = await scene.startWaiting();
  await untilAgentRuns(scene, build);
  const outcomes = await Promise.all(
    Array.from({ length: 200 }, () =>
      sql`select pg_sleep(20)`.execute(db).then(
        () => 'answered',
        (error: unknown) => (isTransient(error) ? 'try again' : String(error)),
      ),
    ),
  );
  const count = (outcome: string) => outcomes.filter((one) => one === outcome).length;
  console.log(`200 slow queries over 4 connections: ${count('answered')} answered, ${count('try again')} to try again`);
  expect(count('answered') + count('try again')).toBe(200);
  expect(count('try again')).toBeGreaterThan(0);
  expect(worker.running).toBe(1);
  await scene.openGate();
  expect(await scene.stack.finished(build.id, 30_000)).toMatchObject({ status: 'COMPLETED', attemptNo: 1 });
}, 120_000);

test('a row that is held by a client whose machine is gone is free again within half a minute', async () => {
  const { db } = scene.stack.orchestrator;
  const url = new URL(scene.stack.databaseUrl);
  const proxy = opened.use(await openTcpProxy(Number(url.port)));
  url.port = String(proxy.port);
  await sql`create table held (id int primary key)`.execute(db);
  await sql`insert into held values (1)`.execute(db);
  // By hand, so that it never notices anything: the server has to.
  const gone = new pg.Client({ connectionString: url.href });
  gone.on('error', () => {});
  opened.defer(() => gone.end().catch(() => {}));
  await gone.connect();
  await gone.query(setLimits(WORK_LIMITS, 'session'));
  await gone.query('begin');
  await gone.query('select 1 from held for update');
  proxy.disturb({ kind: 'silence' });
  const heldAt = performance.now();
  const refusals = new Set<unknown>();
  const isFree = () =>
    sql`update held set id = 2`.execute(db).then(
      () => true,
      (error: unknown) => {
        refusals.add((error as { code?: unknown }).code);
        return false;
      },
    );
  await waitFor(isFree, { deadlineMs: 45_000, what: 'the row' });
  const ms = performance.now() - heldAt;
  console.log(`a lost client's row was free after ${Math.round(ms)} ms`);
  expect(ms).toBeLessThan(40_000);
  // Whoever waits for it meanwhile is told so, and may try again.
  expect([...refusals]).toEqual(['55P03']);
}, 90_000);

test('a queue of notifications that somebody holds stops no write', async () => {
  const { orchestrator, databaseUrl } = scene.stack;
  const idler = new pg.Client({ connectionString: databaseUrl });
  await idler.connect();
  opened.defer(() => idler.end());
  await idler.query('listen slipway');
  await idler.query('begin');
  await idler.query('select 1');
  const begun = performance.now();
  const { db } = orchestrator;
  await sql`create table written (id int primary key)`.execute(db);
  for (let round = 0; round < 20; round += 1) {
    // What announcements hold is a few bytes each, however many there are.
    await sql`select pg_notify('slipway', 'a sender' || chr(10) || n) from generate_series(1, 5000) n`.execute(db);
    await sql`insert into written values (${round})`.execute(db);
    orchestrator.hub.announce(eventsTopic(`00000000-0000-7000-8000-${String(round).padStart(12, '0')}`));
  }
  const usage = await sql<{ used: number }>`select pg_notification_queue_usage() as used`.execute(db);
  const ms = Math.round(performance.now() - begun);
  console.log(
    `100,000 notifications behind an idle listener: ${ms} ms, ${Number(usage.rows[0]?.used) * 100} % of the queue`,
  );
  expect(Number(usage.rows[0]?.used)).toBeLessThan(0.5);
  const build = await scene.startWaiting();
  await scene.stack.openWorker(1);
  await scene.openGate();
  expect(await scene.stack.finished(build.id, 30_000)).toMatchObject({ status: 'COMPLETED' });
}, 90_000);
