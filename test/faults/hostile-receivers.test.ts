/** Receivers that fail, hang, flood or lead astray, and what the others notice of them (F36, F39). */
import type { ServerResponse } from 'node:http';
import type { LookupFunction } from 'node:net';
import { gzipSync } from 'node:zlib';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { CallbackDelivery } from '../../src/callbacks/deliver-callbacks.ts';
import { findDeliveries, findDeliveryAttempts } from '../../src/callbacks/delivery.ts';
import { readConfig } from '../../src/config/config.ts';
import type { Keyring } from '../../src/credentials/keyring.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { DELIVERIES_TOPIC } from '../../src/events/topics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTelemetry } from '../../src/telemetry/telemetry.ts';
import { insertDelivery, insertFinishedBuild, insertProject } from '../callbacks/finished-builds.ts';
import { type Answer, lookupTo, openReceiver, type Receiver } from '../callbacks/receiver.ts';
import { openTestKeyring } from '../credentials/test-key.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';

const logger = createLogger('silent');
const telemetry = await openTelemetry(readConfig({}), logger);
const BOMB = Buffer.concat(Array.from({ length: 400 }, () => gzipSync(Buffer.alloc(1024 * 1024))));

let database: TestDatabase;
let hub: EventHub;
let keyring: Keyring;
let opened: AsyncDisposableStack;
let number = 0;

beforeAll(async () => {
  database = await openTestDatabase();
  hub = new EventHub({ ...database, logger });
  await hub.open();
  keyring = await openTestKeyring(database.db);
});
afterAll(async () => {
  await hub[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});
beforeEach(() => {
  opened = new AsyncDisposableStack();
});
afterEach(async () => {
  await opened.disposeAsync();
  await sql`truncate deliveries, delivery_attempts`.execute(database.db);
});

const open = async (answer?: Answer) => opened.use(await openReceiver(answer ? { answer } : {}));

function openDelivery(lookup: LookupFunction = lookupTo('127.0.0.1')): CallbackDelivery {
  const config = { callbackAllowPrivate: true };
  const delivery = opened.use(
    new CallbackDelivery({ db: database.db, hub, logger, telemetry, keyring, config, lookup }),
  );
  delivery.open();
  return delivery;
}

/** A finished build of the project whose callback is due now; its id. */
async function finish(projectId: string, url: string): Promise<string> {
  number += 1;
  const buildId = await insertFinishedBuild(database.db, { projectId, number });
  await insertDelivery(database.db, { projectId, buildId, url });
  hub.announce(DELIVERIES_TOPIC);
  return buildId;
}

const statusOf = async (buildId: string) => (await findDeliveries(database.db, [buildId]))[0];

/** Milliseconds from the end of a build until its callback has arrived. */
async function delayOf(projectId: string, receiver: Receiver): Promise<number> {
  const before = receiver.received.length;
  const started = performance.now();
  await finish(projectId, receiver.url);
  await waitFor(() => receiver.received.length > before, { what: 'the callback of the other project' });
  return performance.now() - started;
}

/** Milliseconds. A machine that does other things too may hold up one of them; a receiver that is waited for holds up all. */
function slowest(delays: readonly number[]): { readonly p90: number; readonly worst: number } {
  const sorted = delays.toSorted((a, b) => a - b).map(Math.round);
  return { p90: sorted[Math.ceil(0.9 * sorted.length) - 1] ?? Number.NaN, worst: sorted.at(-1) ?? Number.NaN };
}

async function closeHanging(delivery: CallbackDelivery, receivers: readonly Receiver[]): Promise<void> {
  for (const receiver of receivers) await receiver[Symbol.asyncDispose]();
  await delivery[Symbol.asyncDispose]();
}

test('fifty hanging receivers of one project delay the callbacks of another one by less than two seconds', async () => {
  const [greedy, other] = [await insertProject(database.db), await insertProject(database.db)];
  const hanging = await open(() => {});
  const good = await open();
  const delivery = openDelivery();
  for (let index = 0; index < 50; index += 1) await finish(greedy, `http://hang-${index}.example.com:${hanging.port}/`);
  await waitFor(() => hanging.received.length === 16, { what: 'all that one project may have' });
  const delays: number[] = [];
  for (let index = 0; index < 20; index += 1) delays.push(await delayOf(other, good));
  const { p90, worst } = slowest(delays);
  process.stdout.write(`callbacks beside 50 hanging receivers: p90 ${p90} ms, worst delay ${worst} ms\n`);
  expect(p90).toBeLessThan(2_000);
  expect(hanging.mostAtOnce()).toBe(16);
  await closeHanging(delivery, [hanging]);
});

test('one project with a long queue for a host does not keep another one from the same host', async () => {
  const [greedy, other] = [await insertProject(database.db), await insertProject(database.db)];
  const answers: ServerResponse[] = [];
  const shared = await open((response) => answers.push(response));
  for (let index = 0; index < 201; index += 1) await finish(greedy, shared.url);
  const wanted = await finish(other, shared.url);
  openDelivery();
  await waitFor(() => answers.length === 4);
  // Four at a time: the other project is among the first.
  for (const response of answers) response.end();
  await waitFor(async () => (await statusOf(wanted))?.status === 'DELIVERED', { what: 'its turn' });
  expect(shared.received.length).toBeLessThan(20);
  await shared[Symbol.asyncDispose]();
});

interface Bad {
  readonly what: string;
  readonly answer: Answer;
  readonly statusCode: number | null;
  readonly error: RegExp;
  readonly ends?: 'FAILED' | 'DELIVERED';
}

const never: readonly Answer[] = [
  () => {},
  (response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('.'), 50);
    response.once('close', () => clearInterval(timer));
  },
];

const BAD: readonly Bad[] = [
  { what: '500', answer: (response) => response.writeHead(500).end(), statusCode: 500, error: /500/ },
  {
    what: '429 with Retry-After',
    answer: (response) => response.writeHead(429, { 'retry-after': '3600' }).end(),
    statusCode: 429,
    error: /429/,
  },
  { what: 'reset', answer: (response) => response.socket?.resetAndDestroy(), statusCode: null, error: /RESET|hang up/ },
  {
    what: '307 to the cloud',
    answer: (response) => response.writeHead(307, { location: 'http://169.254.169.254/' }).end(),
    statusCode: 307,
    error: /not followed/,
  },
  {
    what: '60 KB header',
    answer: (response) => response.writeHead(200, { 'x-huge': 'x'.repeat(60_000) }).end(),
    statusCode: null,
    error: /Header/,
  },
  { what: '410', answer: (response) => response.writeHead(410).end(), statusCode: 410, error: /410/, ends: 'FAILED' },
];

test('bad receivers of all kinds at once: each try is recorded, none is lost, and the good one waits for nobody', async () => {
  const before = process.memoryUsage().rss;
  const good = await open();
  const goodProject = await insertProject(database.db);
  const hanging = await Promise.all(never.map((answer) => open(answer)));
  const bomb = await open((response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(BOMB));
  const delivery = openDelivery();
  const held: string[] = [];
  for (const receiver of hanging) {
    const projectId = await insertProject(database.db);
    for (let index = 0; index < 10; index += 1) held.push(await finish(projectId, receiver.url));
  }
  const tried: { readonly bad: Bad; readonly buildId: string }[] = [];
  for (const bad of BAD) {
    const receiver = await open(bad.answer);
    tried.push({ bad, buildId: await finish(await insertProject(database.db), receiver.url) });
  }
  const bombed = await finish(await insertProject(database.db), bomb.url);
  const delays: number[] = [];
  for (let index = 0; index < 100; index += 1) delays.push(await delayOf(goodProject, good));
  const { p90, worst } = slowest(delays);
  for (const { bad, buildId } of tried) {
    const done = await waitFor(async () => {
      const found = await statusOf(buildId);
      return found && found.tries >= 1 ? found : null;
    });
    expect(done.status, bad.what).toBe(bad.ends ?? 'PENDING');
    const [attempt] = await findDeliveryAttempts(database.db, [done.id]);
    expect(attempt).toMatchObject({ statusCode: bad.statusCode, error: expect.stringMatching(bad.error) });
  }
  await waitFor(async () => (await statusOf(bombed))?.status === 'DELIVERED');
  const mebibytes = Math.round((process.memoryUsage().rss - before) / 1024 ** 2);
  process.stdout.write(`100 callbacks beside bad receivers: p90 ${p90} ms, worst ${worst} ms, ${mebibytes} MiB more\n`);
  expect(p90).toBeLessThan(2_000);
  await closeHanging(delivery, hanging);
  const kept = await findDeliveries(database.db, held);
  expect(kept.filter(({ status }) => status === 'PENDING')).toHaveLength(held.length);
});

test('after an outage all comes, four at a time, and what failed together does not come back together', async () => {
  const COUNT = 200;
  const projectId = await insertProject(database.db);
  let down = true;
  const receiver = await open((response) => response.writeHead(down ? 503 : 200).end());
  for (let index = 0; index < COUNT; index += 1) await finish(projectId, receiver.url);
  openDelivery();
  const count = (where: ReturnType<typeof sql>) =>
    sql<{ n: number }>`select count(*)::int as n from deliveries where ${where}`
      .execute(database.db)
      .then(({ rows }) => rows[0]?.n);
  await waitFor(async () => (await count(sql`tries >= 1`)) === COUNT, { deadlineMs: 60_000 });
  const { rows } = await sql<{ ms: number }>`
    select extract(epoch from due_at - a.at)::float8 * 1000 as ms from deliveries d
      join delivery_attempts a on a.delivery_id = d.id and a.attempt_no = 1 where d.tries = 1`.execute(database.db);
  const pauses = rows.map(({ ms }) => ms);
  expect(Math.max(...pauses) - Math.min(...pauses)).toBeGreaterThan(500);
  down = false;
  const started = performance.now();
  await sql`update deliveries set due_at = now() where status = 'PENDING'`.execute(database.db);
  hub.announce(DELIVERIES_TOPIC);
  await waitFor(async () => (await count(sql`status = 'DELIVERED'`)) === COUNT, { deadlineMs: 60_000 });
  process.stdout.write(`${COUNT} callbacks after an outage in ${Math.round(performance.now() - started)} ms\n`);
  expect(receiver.mostAtOnce()).toBeLessThanOrEqual(4);
  const perId = Map.groupBy(receiver.received, ({ headers }) => headers['webhook-id']);
  expect(perId.size).toBe(COUNT);
}, 150_000);
