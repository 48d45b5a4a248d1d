/** A hundred readers of a large log that read nothing: what they cost, and that they get everything in the end. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { finish, print } from '../schema/finish.ts';
import { openSocket, type ProtocolSocket } from '../server/protocol-socket.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 * 1024;
const SOCKETS = 2;
const READERS = 50;
const CHUNKS = 4;
const LINES = 1_000;
const MAX_GROWTH_MIB = 250;

let stack: TestStack;
let api: TestApi;
let buildId: string;
/** Reads of the log so far. */
let reads = 0;
beforeAll(async () => {
  stack = await openTestStack();
  const db = stack.orchestrator.db.withPlugin({
    transformQuery({ node }) {
      if (JSON.stringify(node).includes('"build_logs"')) reads += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  api = await openTestApi({ ...stack, orchestrator: { ...stack.orchestrator, db } });
  const { id: projectId } = await stack.createProject();
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  const texts = Array.from({ length: LINES }, (_, line) => `${line} ${'x'.repeat(1_000)}`);
  for (let chunk = 0; chunk < CHUNKS; chunk += 1) await print(stack.orchestrator, build.id, texts);
  await finish(stack.orchestrator, build.id);
  buildId = toPublicId('build', build.id);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

function residentMiB(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().rss / MIB;
}

async function openReaders(): Promise<ProtocolSocket> {
  const socket = await openSocket(api.url);
  socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${api.token}` } });
  expect((await socket.receive()).type).toBe('connection_ack');
  socket.socket.pause();
  const query = 'subscription ($id: ID!) { buildLog(buildId: $id) { lines { number text } finished } }';
  for (let id = 0; id < READERS; id += 1) {
    socket.send({ type: 'subscribe', id: String(id), payload: { query, variables: { id: buildId } } });
  }
  return socket;
}

it('cost bounded memory, and get every line later', async () => {
  const before = residentMiB();
  const sockets = await Promise.all(Array.from({ length: SOCKETS }, openReaders));
  let last = 0;
  let same = 0;
  await waitFor(() => {
    const areOpen = api.subscriptionCount === SOCKETS * READERS;
    same = areOpen && reads > 0 && reads === last ? same + 1 : 0;
    last = reads;
    return same === 50;
  });
  const after = residentMiB();
  console.log(`${SOCKETS * READERS} unread logs of ${CHUNKS} MiB: RSS grew by ${(after - before).toFixed(1)} MiB`);
  expect(after - before).toBeLessThan(MAX_GROWTH_MIB);
  const numbers = Array.from({ length: READERS }, () => 0);
  const [first] = sockets;
  if (!first) throw new Error('no socket');
  first.socket.resume();
  let finished = 0;
  while (finished < READERS) {
    const message = await first.receive();
    const reader = Number(message.id);
    if (message.type === 'complete') {
      finished += 1;
      continue;
    }
    const { data } = message.payload as { data: { buildLog: { lines: { number: number }[] } } };
    for (const { number } of data.buildLog.lines) {
      expect(number).toBe((numbers[reader] ?? 0) + 1);
      numbers[reader] = number;
    }
  }
  expect(new Set(numbers)).toEqual(new Set([CHUNKS * LINES]));
  for (const { socket } of sockets) socket.terminate();
}, 60_000);
