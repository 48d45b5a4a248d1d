import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { createClient } from '../../src/client/client.ts';
import { ApiError } from '../../src/client/errors.ts';
import { type BuildProgressEvent, watchBuild } from '../../src/client/watch-build.ts';
import { watchLog } from '../../src/client/watch-log.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { openTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let api: TestApi;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  await stack.openWorker();
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

/** A build that says `lines` things, a moment apart. */
async function startTalkativeBuild(lines: number): Promise<string> {
  const project = await stack.createProject();
  const steps = Array.from({ length: lines }, (_, i) => [{ print: `line ${i}` }, { wait: 0.03 }]).flat();
  const spec = { prompt: script(...steps), autoCommit: false };
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
  return toPublicId('build', build.id);
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

test('events 1..N come exactly once and in order while sockets are cut ten times and the server restarts', async () => {
  const buildId = await startTalkativeBuild(80);
  await using proxy = await openTcpProxy(api.port);
  await using client = createClient({ url: `http://127.0.0.1:${proxy.port}/graphql`, token: api.token });
  const seen: BuildProgressEvent[] = [];
  let cuts = 0;
  let connection = 0;
  for await (const event of watchBuild(client, buildId)) {
    seen.push(event);
    // Each connection gives something before it is cut.
    if (proxy.opened > connection && cuts < 10) {
      connection = proxy.opened;
      cuts += 1;
      if (cuts % 4 === 0) await api.restart();
      else proxy.cut();
    }
  }
  expect(cuts).toBe(10);
  expect(proxy.opened).toBeGreaterThan(10);
  expect(seen.map(({ cursor }) => Number(cursor))).toEqual(upTo(seen.length));
  expect(seen.at(-1)).toMatchObject({ type: 'FINISHED', status: 'COMPLETED' });
});

test('every line of the log comes exactly once and in order while sockets are cut', async () => {
  const buildId = await startTalkativeBuild(60);
  await using proxy = await openTcpProxy(api.port);
  await using client = createClient({ url: `http://127.0.0.1:${proxy.port}/graphql`, token: api.token });
  const seen: number[] = [];
  let batches = 0;
  for await (const lines of watchLog(client, buildId)) {
    seen.push(...lines.map(({ number }) => number));
    batches += 1;
    if (batches <= 10) proxy.cut();
  }
  expect(seen.length).toBeGreaterThanOrEqual(60);
  expect(seen).toEqual(upTo(seen.length));
});

test('a watch goes on behind a cursor, and ends at once when there is nothing behind it', async () => {
  const buildId = await startTalkativeBuild(3);
  await using client = createClient(api);
  const all = await Array.fromAsync(watchBuild(client, buildId));
  const rest = await Array.fromAsync(watchBuild(client, buildId, { after: all.length - 2 }));
  expect(rest).toEqual(all.slice(-2));
  expect(await Array.fromAsync(watchBuild(client, buildId, { after: all.length }))).toEqual([]);
  expect(await Array.fromAsync(watchLog(client, buildId, { after: 999 }))).toEqual([]);
});

test('a build that does not exist is refused at once', async () => {
  await using client = createClient(api);
  const watching = Array.fromAsync(watchBuild(client, `build_${'0'.repeat(32)}`));
  await expect(watching).rejects.toBeInstanceOf(ApiError);
});

test('aborting ends a watch of an idle build at once and lets go of the subscription', async () => {
  const project = await stack.createProject();
  const spec = { prompt: script(), runAfter: new Date(Date.now() + 3_600_000) };
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
  await using client = createClient(api);
  const stop = new AbortController();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const { type } of watchBuild(client, toPublicId('build', build.id), { signal: stop.signal })) {
      seen.push(type);
    }
  })();
  await waitFor(() => seen.length === 1, { what: 'the first event' });
  stop.abort();
  await watching;
  expect(seen).toEqual(['QUEUED']);
});
