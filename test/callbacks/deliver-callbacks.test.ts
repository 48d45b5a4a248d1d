import { type KyselyPlugin, sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { CallbackDelivery } from '../../src/callbacks/deliver-callbacks.ts';
import {
  type Delivery,
  type DeliveryAttempt,
  findDeliveries,
  findDeliveryAttempts,
} from '../../src/callbacks/delivery.ts';
import { redeliverCallback } from '../../src/callbacks/redeliver-callback.ts';
import { readConfig } from '../../src/config/config.ts';
import type { Keyring } from '../../src/credentials/keyring.ts';
import { NotFoundError } from '../../src/errors.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { DELIVERIES_TOPIC } from '../../src/events/topics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTelemetry } from '../../src/telemetry/telemetry.ts';
import { openTestKeyring } from '../credentials/test-key.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';
import { openCollector } from '../telemetry/collector.ts';
import { insertDelivery, insertFinishedBuild, insertProject } from './finished-builds.ts';
import { type Answer, lookupTo, openReceiver, type Receiver } from './receiver.ts';

const logger = createLogger('silent');
const untold = await openTelemetry(readConfig({}), logger);
let database: TestDatabase;
let hub: EventHub;
let keyring: Keyring;
let projectId: string;
let number = 0;
let opened: AsyncDisposableStack;

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

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  projectId = await insertProject(database.db);
});

afterEach(async () => {
  await opened.disposeAsync();
  await sql`truncate deliveries, delivery_attempts`.execute(database.db);
});

async function openWith(answer?: Answer): Promise<Receiver> {
  return opened.use(await openReceiver(answer ? { answer } : {}));
}

function openDelivery({ db = database.db, telemetry = untold } = {}): CallbackDelivery {
  const config = { callbackAllowPrivate: true };
  const lookup = lookupTo('127.0.0.1');
  const delivery = opened.use(new CallbackDelivery({ db, hub, logger, telemetry, keyring, config, lookup }));
  delivery.open();
  return delivery;
}

/** A finished build whose callback is due now. Returns the build's id. */
async function finish(url: string): Promise<string> {
  number += 1;
  const buildId = await insertFinishedBuild(database.db, { projectId, number });
  await insertDelivery(database.db, { projectId, buildId, url });
  hub.announce(DELIVERIES_TOPIC);
  return buildId;
}

async function deliveryOf(buildId: string): Promise<Delivery> {
  const [delivery] = await findDeliveries(database.db, [buildId]);
  if (!delivery) throw new Error('There is no delivery.');
  return delivery;
}

async function attemptsOf(buildId: string): Promise<DeliveryAttempt[]> {
  return await findDeliveryAttempts(database.db, [(await deliveryOf(buildId)).id]);
}

/** The delivery once it is in this state. */
function untilDelivery(buildId: string, is: (delivery: Delivery) => boolean, deadlineMs = 10_000): Promise<Delivery> {
  return waitFor(
    async () => {
      const delivery = await deliveryOf(buildId);
      return is(delivery) ? delivery : null;
    },
    { deadlineMs },
  );
}

const untilDelivered = (buildId: string, deadlineMs?: number) =>
  untilDelivery(buildId, ({ status }) => status === 'DELIVERED', deadlineMs);

/** Seconds from the database's now until it is due. */
async function dueIn(buildId: string): Promise<number> {
  const { rows } = await sql<{ seconds: number }>`
    select extract(epoch from due_at - now())::float8 as seconds from deliveries where build_id = ${buildId}`.execute(
    database.db,
  );
  return rows[0]?.seconds ?? Number.NaN;
}

async function passTime(buildId: string): Promise<void> {
  await sql`update deliveries set due_at = now() - interval '1 s', lease_until = now() - interval '1 s'
             where build_id = ${buildId}`.execute(database.db);
  hub.announce(DELIVERIES_TOPIC);
}

test('a callback is delivered and the try is recorded', async () => {
  const receiver = await openWith((response) => response.writeHead(204).end());
  openDelivery();
  const buildId = await finish(receiver.url);
  expect(await untilDelivered(buildId)).toMatchObject({ tries: 1, dueAt: null, deliveredAt: expect.any(Date) });
  expect(receiver.received).toHaveLength(1);
  expect(JSON.parse(receiver.received[0]?.body ?? '')).toMatchObject({
    task_id: `build_${buildId.replaceAll('-', '')}`,
    status: 'COMPLETED',
    result: { success: true, commit_sha: 'a'.repeat(40) },
  });
  expect(await attemptsOf(buildId)).toMatchObject([{ attemptNo: 1, statusCode: 204, error: null, response: '' }]);
});

test('what was due before it opened is delivered, without an announcement', async () => {
  const receiver = await openWith();
  const buildId = await finish(receiver.url);
  openDelivery();
  await untilDelivered(buildId);
});

test('500 then 200: tried again after 5 s, the same bytes under the same id', async () => {
  const receiver = await openWith((response) => response.writeHead(receiver.received.length === 1 ? 500 : 200).end());
  openDelivery();
  const buildId = await finish(receiver.url);
  await untilDelivery(buildId, ({ tries }) => tries === 1);
  const wait = await dueIn(buildId);
  expect(wait).toBeGreaterThan(3);
  expect(wait).toBeLessThanOrEqual(5.5);
  // No announcement when it becomes due, and before the look of every 5 s: the timer must find it.
  await sql`update deliveries set due_at = now() + interval '200 ms'`.execute(database.db);
  hub.announce(DELIVERIES_TOPIC);
  await untilDelivered(buildId, 4_000);
  const [first, second] = receiver.received;
  expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
  expect(second?.body).toBe(first?.body);
  expect(await attemptsOf(buildId)).toMatchObject([
    { attemptNo: 1, statusCode: 500, error: 'The receiver answered 500.' },
    { attemptNo: 2, statusCode: 200, error: null },
  ]);
});

test('what becomes due between the two questions of a look is sent at once, not at the next look', async () => {
  const receiver = await openWith();
  const buildId = await insertFinishedBuild(database.db, { projectId, number: ++number });
  await insertDelivery(database.db, { projectId, buildId, url: receiver.url });
  await sql`update deliveries set due_at = now() + interval '200 ms'`.execute(database.db);
  let asked = 0;
  const holdFirstAnswer: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      asked += 1;
      if (asked === 1) await waitFor(async () => (await dueIn(buildId)) < 0);
      return result;
    },
  };
  openDelivery({ db: database.db.withPlugin(holdFirstAnswer) });
  await untilDelivered(buildId, 4_000);
});

test('410 ends it at once', async () => {
  const receiver = await openWith((response) => response.writeHead(410).end());
  openDelivery();
  const buildId = await finish(receiver.url);
  const failed = await untilDelivery(buildId, ({ status }) => status !== 'PENDING');
  expect(failed).toMatchObject({ status: 'FAILED', tries: 1, dueAt: null, deliveredAt: null });
});

test('429 with Retry-After waits as long as the receiver asks', async () => {
  const receiver = await openWith((response) => response.writeHead(429, { 'retry-after': '3600' }).end());
  openDelivery();
  const buildId = await finish(receiver.url);
  await untilDelivery(buildId, ({ tries }) => tries === 1);
  expect(await dueIn(buildId)).toBeGreaterThan(3590);
});

test('a host that hangs keeps four connections and delays nobody', async () => {
  const slow = await openWith(() => {});
  const fast = await openWith();
  const delivery = openDelivery();
  for (let index = 0; index < 30; index += 1) await finish(`http://slow.example.com:${slow.port}/`);
  await waitFor(() => slow.received.length === 4);
  const buildId = await finish(fast.url);
  await untilDelivered(buildId);
  expect(slow.received).toHaveLength(4);
  await slow[Symbol.asyncDispose]();
  await delivery[Symbol.asyncDispose]();
});

test('a process that died between the POST and the note of it: sent again under the same id', async () => {
  const receiver = await openWith();
  // What a sequence has counted stays, also when the transaction that did it dies.
  await sql`create sequence deaths`.execute(database.db);
  await sql`create function die() returns trigger language plpgsql as $$
    begin perform nextval('deaths'); raise exception 'dead'; end $$`.execute(database.db);
  await sql`create trigger die before insert on delivery_attempts execute function die()`.execute(database.db);
  const telemetry = await openTelemetry(readConfig({}), logger);
  openDelivery({ telemetry });
  const buildId = await finish(receiver.url);
  await waitFor(() => receiver.received.length === 1);
  // The lease holds: nobody sends it meanwhile.
  const other = await openWith();
  await waitFor(async () => {
    const { rows } = await sql<{ is_called: boolean }>`select is_called from deaths`.execute(database.db);
    return rows[0]?.is_called;
  });
  expect(await deliveryOf(buildId)).toMatchObject({ tries: 0 });
  const errors = () => telemetry.systemErrors.read().filter(({ value }) => value > 0);
  await waitFor(() => errors().length > 0, { what: 'the count' });
  expect(errors()).toEqual([{ labels: { cicd_system_component: 'callbacks' }, value: 1 }]);
  await sql`drop trigger die on delivery_attempts`.execute(database.db);
  openDelivery();
  hub.announce(DELIVERIES_TOPIC);
  await finish(other.url);
  await waitFor(() => other.received.length === 1);
  expect(receiver.received).toHaveLength(1);
  await passTime(buildId);
  await untilDelivered(buildId);
  const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
  expect(ids).toHaveLength(2);
  expect(new Set(ids).size).toBe(1);
  expect(await attemptsOf(buildId)).toMatchObject([{ attemptNo: 1, error: null }]);
});

test('a redelivery is a new round under the same id', async () => {
  let statusCode = 410;
  const receiver = await openWith((response) => response.writeHead(statusCode).end());
  openDelivery();
  const buildId = await finish(receiver.url);
  await untilDelivery(buildId, ({ status }) => status === 'FAILED');
  statusCode = 200;
  expect(await redeliverCallback({ db: database.db, hub }, { buildId }, 'test')).toMatchObject({
    status: 'PENDING',
    tries: 0,
  });
  expect(await untilDelivered(buildId)).toMatchObject({ tries: 1 });
  await redeliverCallback({ db: database.db, hub }, { buildId }, 'test');
  await waitFor(() => receiver.received.length === 3);
  await untilDelivered(buildId);
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  expect((await attemptsOf(buildId)).map(({ attemptNo }) => attemptNo)).toEqual([1, 2, 3]);
  await expect(redeliverCallback({ db: database.db, hub }, { buildId: v7() }, 'test')).rejects.toThrow(NotFoundError);
});

test('what cannot be prepared is a failed try, and the others go on', async () => {
  const receiver = await openWith();
  const broken = await insertFinishedBuild(database.db, { projectId, number: ++number });
  await insertDelivery(database.db, { projectId, buildId: broken, url: receiver.url });
  await sql`update build_audit set result = '{}' where id = ${broken}`.execute(database.db);
  openDelivery();
  const buildId = await finish(receiver.url);
  await untilDelivered(buildId);
  await untilDelivery(broken, ({ tries }) => tries === 1);
  expect(await attemptsOf(broken)).toMatchObject([{ statusCode: null, error: expect.stringContaining('prepare') }]);
  expect(receiver.received).toHaveLength(1);
});

test('closing gives back what hangs, at once due for another process, and that is no failure', async () => {
  const receiver = await openWith(() => {});
  const collector = opened.use(await openCollector());
  const otel = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };
  const telemetry = await openTelemetry(readConfig(otel), logger);
  const delivery = openDelivery({ telemetry });
  const buildId = await finish(receiver.url);
  await waitFor(() => receiver.received.length === 1);
  await Promise.all([delivery[Symbol.asyncDispose](), delivery[Symbol.asyncDispose]()]);
  const { rows } = await sql`select lease_until, tries, status from deliveries where build_id = ${buildId}`.execute(
    database.db,
  );
  expect(rows).toEqual([{ lease_until: null, tries: 0, status: 'PENDING' }]);
  await telemetry[Symbol.asyncDispose]();
  expect(collector.spans()).toMatchObject([{ name: 'callback', status: 0 }]);
  await finish(receiver.url);
  delivery.open();
  openDelivery();
  await waitFor(() => receiver.received.length === 3);
  await receiver[Symbol.asyncDispose]();
});

test('a thousand due callbacks leave in good order, from two processes, each once', async () => {
  const receivers = [await openWith(), await openWith(), await openWith()];
  for (let index = 0; index < 1000; index += 1) {
    const receiver = receivers[index % receivers.length];
    const buildId = await insertFinishedBuild(database.db, { projectId, number: ++number });
    await insertDelivery(database.db, { projectId, buildId, url: receiver?.url ?? '' });
  }
  const started = performance.now();
  openDelivery();
  openDelivery();
  const left = () => sql<{ n: number }>`select count(*)::int as n from deliveries where status <> 'DELIVERED'`;
  await waitFor(async () => (await left().execute(database.db)).rows[0]?.n === 0, { deadlineMs: 60_000 });
  process.stdout.write(`1000 callbacks in ${Math.round(performance.now() - started)} ms\n`);
  const ids = receivers.flatMap(({ received }) => received.map(({ headers }) => headers['webhook-id']));
  expect(ids).toHaveLength(1000);
  expect(new Set(ids).size).toBe(1000);
  // Four from each of the two.
  for (const receiver of receivers) expect(receiver.mostAtOnce()).toBeLessThanOrEqual(8);
}, 90_000);
