/** Many clients, slow clients, and how fast a build is picked up. Figures are printed. */
import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { schema } from '../../schema/index.ts';
import type { Build } from '../../src/builds/build.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import { openServer } from '../../src/server/http-server.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { Worker } from '../../src/workers/worker.ts';
import { openSocket, type ProtocolSocket } from '../server/protocol-socket.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';
import { upTo } from './cut-ten-times.ts';
import { requestData } from './graphql-request.ts';

const MIB = 1024 * 1024;
const PICK_UPS = 100;
const ONE_HOUR_MS = 3_600_000;

let stack: TestStack;
let api: TestApi;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

/** A build that waits. */
async function waitingBuild(): Promise<Build> {
  const project = await stack.createProject();
  const spec = { prompt: 'Later.', runAfter: new Date(Date.now() + ONE_HOUR_MS) };
  return (await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test')).build;
}

async function connect(url = api.url): Promise<ProtocolSocket> {
  const socket = await openSocket(url);
  socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${api.token}` } });
  expect((await socket.receive()).type).toBe('connection_ack');
  return socket;
}

/** POST on a connection that is used for nothing else. */
async function postAlone(body: object, accept = 'application/json'): Promise<IncomingMessage> {
  const post = httpRequest(api.url, {
    method: 'POST',
    agent: new Agent({ keepAlive: false }),
    headers: { 'content-type': 'application/json', accept, authorization: `Bearer ${api.token}` },
  });
  post.end(JSON.stringify(body));
  const [response] = (await once(post, 'response')) as [IncomingMessage];
  return response;
}

/** After a full collection. */
function memory(): { heap: number; rss: number } {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss };
}

test('50 clients with one idempotency key make one project and one build', async () => {
  const query = `mutation ($input: CreateAndBuildInput!) { createAndBuild(input: $input) {
    __typename ... on CreateAndBuildPayload { deduplicated project { id } build { id } } ... on UserError { code }
  } }`;
  const input = { project: { name: 'Wanted' }, spec: { prompt: 'Once.' }, idempotencyKey: 'wanted-by-fifty' };
  const responses = await Promise.all(
    Array.from({ length: 50 }, async () => text(await postAlone({ query, variables: { input } }))),
  );
  const answers = responses.map((response) => JSON.parse(response).data.createAndBuild);
  expect(new Set(answers.map((answer) => answer.build?.id ?? answer))).toHaveLength(1);
  expect(new Set(answers.map((answer) => answer.project.id))).toHaveLength(1);
  expect(answers.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
  const { projects } = await requestData(api, '{ projects(filter: { search: "wanted" }) { totalCount } }', {});
  const { builds } = await requestData(api, 'query ($p: ID!) { builds(filter: { projectId: $p }) { totalCount } }', {
    p: answers[0].project.id,
  });
  expect([projects.totalCount, builds.totalCount]).toEqual([1, 1]);
});

test('1,000 idle subscriptions are released when their sockets go away', async () => {
  const { hub } = stack.orchestrator;
  const build = await waitingBuild();
  const query =
    'subscription ($id: ID!, $after: String) { buildProgress(buildId: $id, after: $after) { cursor type } }';
  const payload = { query, variables: { id: toPublicId('build', build.id), after: String(build.lastSeq) } };
  const sockets = await Promise.all(Array.from({ length: 20 }, () => connect()));
  const waiters = hub.waiters;
  const before = memory();
  for (const socket of sockets) {
    for (const id of upTo(50)) socket.send({ type: 'subscribe', id: String(id), payload });
  }
  await waitFor(() => api.subscriptionCount === 1_000, { what: '1,000 subscriptions' });
  // They follow one build, and wait together.
  expect(hub.waiters).toBe(waiters + 1);
  const bytes = (memory().heap - before.heap) / 1_000;
  console.log(`an idle subscription costs ${(bytes / 1024).toFixed(1)} KiB of heap`);
  for (const { socket } of sockets) socket.terminate();
  await waitFor(() => api.subscriptionCount === 0, { what: 'the release of all subscriptions' });
  expect(hub.waiters).toBe(waiters);
  console.log(`after the release: ${((memory().heap - before.heap) / MIB).toFixed(1)} MiB more than before`);
});

describe('a reader that stops reading', () => {
  const EVENTS = 5_000;
  /** Each event goes out five times as large as it is stored, so that the kernel's buffers cannot hold them all. */
  const QUERY = `subscription ($id: ID!) { buildProgress(buildId: $id) { cursor type ... on BuildProgressed {
    a: message b: message c: message d: message e: message } } }`;
  const MAX_READ_AHEAD = 2_500;
  let build: Build;
  let payload: object;

  beforeAll(async () => {
    const { orchestrator } = stack;
    build = await waitingBuild();
    payload = { query: QUERY, variables: { id: toPublicId('build', build.id) } };
    const page = Array.from({ length: 500 }, (_, index) => ({
      type: 'PROGRESS' as const,
      data: { message: `${index} `.padEnd(2_000, 'x') },
    }));
    for (let count = 0; count < EVENTS; count += page.length) {
      await appendEvents(orchestrator.db, { buildId: build.id, attemptNo: null }, page);
    }
    await cancelBuild(orchestrator, { id: build.id }, 'test');
  });

  /** The server, and how many events it has read from the database so far. */
  async function openCounted() {
    const read = { rows: 0 };
    const orchestrator: TestStack['orchestrator'] = {
      ...stack.orchestrator,
      async readEventPage(buildId, after) {
        const page = await stack.orchestrator.readEventPage(buildId, after);
        read.rows += page.length;
        return page;
      },
    };
    return { read, server: await openServer({ orchestrator, schema, host: '127.0.0.1', port: 0 }) };
  }

  test('costs bounded memory, and later gets every event once and in order', async () => {
    const { read, server } = await openCounted();
    await using _closed = server;
    const socket = await connect(`${server.url}/graphql`);
    const before = memory();
    socket.socket.pause();
    socket.send({ type: 'subscribe', id: '1', payload });
    let last = -1;
    let same = 0;
    await waitFor(
      () => {
        same = read.rows === last ? same + 1 : 0;
        last = read.rows;
        return last > 0 && same === 20;
      },
      { what: 'the server to stop reading' },
    );
    const after = memory();
    console.log(
      `a stopped reader: ${last} of ${EVENTS} events read ahead, ` +
        `heap +${((after.heap - before.heap) / MIB).toFixed(1)} MiB, RSS +${((after.rss - before.rss) / MIB).toFixed(1)} MiB`,
    );
    expect(last).toBeLessThan(MAX_READ_AHEAD);

    const cursors: number[] = [];
    socket.socket.resume();
    for (;;) {
      const message = await socket.receive();
      if (message.type === 'complete') break;
      const { data } = message.payload as { data: { buildProgress: { cursor: string } } };
      cursors.push(Number(data.buildProgress.cursor));
    }
    // QUEUED, then those above, then CANCEL_REQUESTED and FINISHED.
    expect(cursors).toEqual(upTo(EVENTS + 3));
    expect(read.rows).toBe(EVENTS + 3);
    socket.socket.terminate();
  });
});

test('a build is picked up at once', async () => {
  // A worker without agents: it claims a build, and ends it before there is anything to run.
  const worker = new Worker(
    { ...stack.orchestrator, agents: new Map() },
    { name: 'claims', capacity: 4, labels: ['provider:scripted'] },
  );
  await using _closed = worker;
  await worker.open();
  const project = await stack.createProject();
  const activity = await connect();
  const query =
    'subscription ($id: ID!) { projectActivity(projectId: $id, types: [STARTED, FINISHED]) { event { type build { id } } } }';
  const projectId = toPublicId('project', project.id);
  activity.send({ type: 'subscribe', id: '1', payload: { query, variables: { id: projectId } } });
  const arrivals: number[] = [];
  activity.socket.on('message', () => arrivals.push(performance.now()));
  const mutation = `mutation ($input: StartBuildInput!) { startBuild(input: $input) {
    __typename ... on StartBuildPayload { build { id } } } }`;
  const latencies: number[] = [];
  for (let count = 0; count < PICK_UPS; count += 1) {
    const asked = performance.now();
    const input = { projectId, spec: { prompt: 'Now.' } };
    const { startBuild: started } = await requestData(api, mutation, { input });
    for (const type of ['STARTED', 'FINISHED']) {
      expect(await activity.receive()).toMatchObject({
        payload: { data: { projectActivity: { event: { type, build: started.build } } } },
      });
    }
    expect(arrivals).toHaveLength(2 * (count + 1));
    // The worker still cleans up: the next one is started when it has nothing else to do.
    await waitFor(() => worker.running === 0, { what: 'the worker to be idle' });
    latencies.push((arrivals.at(-2) ?? 0) - asked);
  }
  const sorted = latencies.toSorted((a, b) => a - b);
  const [p50, p99] = [0.5, 0.99].map((share) => sorted[Math.floor(share * sorted.length)]?.toFixed(1));
  console.log(
    `startBuild sent to STARTED received, ${PICK_UPS} times over HTTP and WebSocket: p50 ${p50} ms, p99 ${p99} ms`,
  );
  activity.socket.terminate();
}, 60_000);
