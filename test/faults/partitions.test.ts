/** The network between Slipway and its database: silent, slow, or silent for one connection only. */
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { schema } from '../../schema/index.ts';
import { createApiToken } from '../../src/auth/api-token.ts';
import { LEASE_SECONDS } from '../../src/builds/lease.ts';
import { openDatabase } from '../../src/database/database.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import { openServer } from '../../src/server/http-server.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { openScene, type Scene, untilAgentRuns } from './stranded-builds.ts';

let opened: AsyncDisposableStack;
let scene: Scene;
let proxy: TcpProxy;
let proxiedUrl: string;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  scene = opened.use(await openScene());
  const url = new URL(scene.stack.databaseUrl);
  proxy = opened.use(await openTcpProxy(Number(url.port)));
  url.port = String(proxy.port);
  proxiedUrl = url.href;
});

afterEach(async () => {
  proxy.disturb(null);
  await opened.disposeAsync();
});

test('a worker that loses the database ends its agents before its leases end, and works on when it is back', async () => {
  const worker = await scene.startWorker({ databaseUrl: proxiedUrl, dataFolder: await scene.newHost() });
  const build = await scene.startWaiting();
  await untilAgentRuns(scene, build);
  proxy.disturb({ kind: 'silence' });
  const silentAt = performance.now();
  await waitFor(async () => (await scene.processesOf(build)).length === 0, {
    deadlineMs: 30_000,
    what: 'the self-stop',
  });
  const ms = Math.round(performance.now() - silentAt);
  console.log(`silence of the database to the end of the agent: ${ms} ms; the lease is ${LEASE_SECONDS} s`);
  // Nobody else can have begun: the lease still holds.
  const { rows } = await sql<{ holds: boolean }>`
    select lease_until > now() as holds from build_audit where id = ${build.id}`.execute(scene.stack.orchestrator.db);
  expect(rows[0]?.holds).toBe(true);
  proxy.disturb(null);
  await scene.openGate();
  const ended = await scene.stack.finished(build.id, 40_000);
  // Given back, not lost: an outage is no crash.
  expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
  expect(await scene.agentStarts(build)).toBe(2);
  expect((await scene.eventTypes(build)).filter((type) => type === 'RETRY_SCHEDULED')).toHaveLength(1);
  expect(worker.exitCode).toBeNull();
}, 90_000);

test('an outage that ends soon costs nothing', async () => {
  await scene.startWorker({ databaseUrl: proxiedUrl, dataFolder: await scene.newHost() });
  const build = await scene.startWaiting();
  await untilAgentRuns(scene, build);
  proxy.disturb({ kind: 'silence' });
  // The outage itself, shorter than what cuts a worker off.
  await delay(5_000);
  proxy.disturb(null);
  await scene.openGate();
  expect(await scene.stack.finished(build.id, 40_000)).toMatchObject({ status: 'COMPLETED', attemptNo: 1 });
  expect(await scene.agentStarts(build)).toBe(1);
}, 60_000);

test('with a second of latency no worker is taken for lost', async () => {
  await scene.startWorker({ databaseUrl: proxiedUrl, dataFolder: await scene.newHost() });
  const builds = [await scene.startWaiting(), await scene.startWaiting(), await scene.startWaiting()];
  for (const build of builds) await untilAgentRuns(scene, build);
  // A neighbour that would take over.
  await scene.startWorker({ dataFolder: await scene.newHost() });
  proxy.disturb({ kind: 'delay', ms: 500 });
  // Longer than a lease and the look for lost builds.
  await delay((LEASE_SECONDS + 5) * 1_000);
  await scene.openGate();
  for (const build of builds) {
    expect(await scene.stack.finished(build.id, 100_000)).toMatchObject({ status: 'COMPLETED', attemptNo: 1 });
    expect(await scene.agentStarts(build)).toBe(1);
  }
}, 180_000);

test('the API answers UNAVAILABLE in time while the database is silent, and recovers', async () => {
  const { orchestrator } = scene.stack;
  const { logger } = orchestrator;
  const db = openDatabase({ url: proxiedUrl, poolSize: 4, name: 'proxied api', logger });
  opened.defer(() => db.destroy());
  const server = opened.use(
    await openServer({ orchestrator: { ...orchestrator, db }, schema, host: '127.0.0.1', port: 0 }),
  );
  const options = { name: 'test', scopes: ['admin'] as const, projectIds: null, expiresAt: null, createdBy: 'test' };
  const { token } = await createApiToken(orchestrator.db, options);
  const ask = async () => {
    const begun = performance.now();
    const response = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: '{"query":"{ builds(first: 1) { nodes { id } } }"}',
    });
    const { errors } = (await response.json()) as { errors?: { extensions: { code: string } }[] };
    const code = errors?.[0]?.extensions.code ?? null;
    return {
      status: response.status,
      code,
      ms: performance.now() - begun,
      retryAfter: response.headers.get('retry-after'),
    };
  };
  await waitFor(async () => (await ask()).status === 200);
  const watches = sql`select 1 from pg_stat_activity where application_name = 'proxied api watch' and query = 'select 1'`;
  await waitFor(async () => (await watches.execute(orchestrator.db)).rows.length === 1);
  proxy.disturb({ kind: 'silence' });
  const answers = await Promise.all(Array.from({ length: 20 }, ask));
  answers.push(await ask(), await ask());
  const slowest = Math.max(...answers.map(({ ms }) => ms));
  console.log(`${answers.length} requests to a silent database: the slowest answer after ${Math.round(slowest)} ms`);
  for (const { status, code, retryAfter } of answers) {
    expect({ status, code, retryAfter }).toEqual({ status: 503, code: 'UNAVAILABLE', retryAfter: '2' });
  }
  expect(slowest).toBeLessThan(10_000);
  proxy.disturb(null);
  await waitFor(async () => (await ask()).status === 200, { deadlineMs: 30_000, what: 'the recovery' });
}, 60_000);

test('a LISTEN connection that dies silently is noticed, and events come all the same', async () => {
  const { orchestrator } = scene.stack;
  const { db, logger } = orchestrator;
  const hub = opened.use(new EventHub({ url: proxiedUrl, db, logger }));
  await hub.open();
  let woken = 0;
  const topic = eventsTopic('00000000-0000-7000-8000-000000000000');
  opened.defer(
    hub.on(topic, () => {
      woken += 1;
    }),
  );
  proxy.disturb({ kind: 'silence', only: /slipway listen/ });
  const silentAt = performance.now();
  orchestrator.hub.announce(topic);
  await waitFor(() => woken > 0, { deadlineMs: 20_000, what: 'a look by hand' });
  const ms = Math.round(performance.now() - silentAt);
  console.log(`silence of LISTEN to the first look without a hint: ${ms} ms`);
  expect(hub.listening).toBe(false);
  const server = await openServer({ orchestrator: { ...orchestrator, hub }, schema, host: '127.0.0.1', port: 0 });
  opened.use(server);
  const ready = await fetch(`${server.url}/readyz`);
  expect({ status: ready.status, body: await ready.json() }).toMatchObject({ status: 503, body: { check: 'events' } });
  const before = woken;
  await waitFor(() => woken > before, { what: 'the next look' });
  proxy.disturb(null);
  await waitFor(() => hub.listening, { deadlineMs: 30_000, what: 'LISTEN' });
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  const hinted = woken;
  orchestrator.hub.announce(topic);
  await waitFor(() => woken > hinted, { what: 'the hint' });
}, 120_000);
