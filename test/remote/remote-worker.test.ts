/** What a worker that reaches only the API is given and told, and what others may not do in its name. */
import { gzipSync } from 'node:zlib';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { createEnrolment, enrol } from '../../src/auth/enrolment.ts';

import { findBuild } from '../../src/builds/build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { SupersededError } from '../../src/errors.ts';
import { ApiCoordinator } from '../../src/remote/api-coordinator.ts';
import { ApiLedger } from '../../src/remote/api-ledger.ts';
import { Connection } from '../../src/remote/connection.ts';

import { cordonWorker, drainWorker, evictWorker, uncordonWorker } from '../../src/workers/administer-worker.ts';
import { probeAgents } from '../../src/workers/probe-agents.ts';
import { findWorkers } from '../../src/workers/registry.ts';
import { runCommand } from '../cli/run-command.ts';
import { startGitServer } from '../support/git-server.ts';

import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { makeWorkToken, openFarWorker, openRemoteHarness } from '../support/remote.ts';
import { script } from '../support/script.ts';
import { enqueueRun } from '../support/task-runs.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let harness: Awaited<ReturnType<typeof openRemoteHarness>>;

beforeEach(async () => {
  stack = await openTestStack();
  harness = await openRemoteHarness(stack);
});

afterEach(async () => {
  await harness[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const FAR = 'https://git.example.com/a.git';
async function start(repositoryUrl: string | null, prompt: string, settings = {}) {
  const project = await stack.createProject({ settings, ...(repositoryUrl ? { repositoryUrl } : {}) });
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
  return { project, build };
}

test('it is given only what its token sees and it can reach', async () => {
  await start(null, script({ print: 'x' }));
  const { project } = await start(FAR, script({ print: 'x' }));
  const { build } = await start(FAR, script({ print: 'y' }));
  const token = await makeWorkToken(stack, [build.projectId]);
  const limited = new ApiCoordinator(new Connection({ url: harness.url, token }), build.id);
  await limited.register({ id: build.id, name: 'limited', place: 'x', version: '1', capacity: 1, agents: [] }, 0);
  const claimed = await limited.claim(['provider:scripted'], 5);
  expect(claimed.map(({ id }) => id)).toEqual([build.id]);
  expect((await harness.coordinator.claim(['provider:scripted'], 5)).map(({ projectId }) => projectId)).toEqual([
    project.id,
  ]);
});

test('what a dead worker ran goes on with the next one of its place, if that may claim it', async () => {
  const { build } = await start(FAR, script({ print: 'x' }));
  const { build: other } = await start(FAR, script({ print: 'x' }));
  const [first] = [await harness.claim(), await harness.claim()];
  // Its pid has been given to another process.
  const process = sql`update workers set process = regexp_replace(process, '@[^@]*', '@0') where id = ${harness.workerId}`;
  await process.execute(stack.orchestrator.db);
  const agents = await probeAgents(stack.orchestrator.agents);
  const next = { id: v7(), name: 'next', place: 'elsewhere', version: '1', capacity: 1, agents };
  const { inherited } = await new ApiCoordinator(harness.connection, next.id).register(next, 1);
  const attempt = { attemptNo: 2, workerId: next.id, createdAt: expect.any(Date) };
  expect(inherited).toEqual([expect.objectContaining(attempt)]);
  expect([build.id, other.id]).toContain(inherited[0]?.id);
  const waiting = inherited[0]?.id === build.id ? other : build;
  expect(await findBuild(stack.orchestrator.db, waiting.id)).toMatchObject({ status: 'PENDING', attemptNo: 1 });
  await expect(harness.open(first).commit(1, 'RELEASE', { message: 'late' })).rejects.toThrow(SupersededError);
});

test('nobody speaks for the worker of another token, or without the scope', async () => {
  const { build } = await start(FAR, script({ print: 'x' }));
  const { attemptNo } = await harness.claim();
  const attempt = { workerId: harness.workerId, buildId: build.id, attemptNo };
  const other = new Connection({ url: harness.url, token: await makeWorkToken(stack) });
  const stranger = new ApiCoordinator(other, harness.workerId);
  await expect(stranger.claim(['provider:scripted'], 1)).rejects.toThrow('404');
  await expect(stranger.heartbeat([])).rejects.toThrow('404');
  await expect(new ApiLedger(other, attempt).ask('secrets', { variable: null })).rejects.toThrow('404');
  await expect(new ApiLedger(other, attempt).commit(1, 'RELEASE', { message: 'x' })).rejects.toThrow('404');
  await expect(
    stranger.register({ id: harness.workerId, name: 'x', place: 'x', version: '1', capacity: 1, agents: [] }, 0),
  ).rejects.toThrow('404');
  const reader = new Connection({ url: harness.url, token: await harness.api.makeToken(['builds:write']) });
  await expect(new ApiCoordinator(reader, harness.workerId).claim([], 1)).rejects.toThrow('scope work');
  const nobody = new Connection({ url: harness.url, token: 'slipway_x' });
  await expect(new ApiCoordinator(nobody, harness.workerId).claim([], 1)).rejects.toThrow('401');
});

test('nobody is told of the task of another', async () => {
  const payload = { command: ['true'] };
  const [{ project: own }, { project: other }, { project: near }] = [
    await start(FAR, script({ print: 'x' })),
    await start(FAR, script({ print: 'x' })),
    await start(null, script({ print: 'x' })),
  ];
  const [first, second] = [
    await enqueueRun(stack, own, { type: 'test', payload }),
    await enqueueRun(stack, other, { type: 'test', payload }),
  ];
  await enqueueRun(stack, near, { type: 'test', payload });
  const connection = new Connection({ url: harness.url, token: await makeWorkToken(stack, [other.id]) });
  const limited = new ApiCoordinator(connection, v7());
  await limited.register({ id: v7(), name: 'limited', place: 'x', version: '1', capacity: 1, agents: [] }, 0);
  const all = { labels: [], max: 9, held: [] };
  const [given, ...more] = await limited.tasks.claim(all);
  expect([given?.id, more]).toEqual([second, []]);
  const [lease, ...rest] = await harness.coordinator.tasks.claim(all);
  expect([lease?.id, rest]).toEqual([first, []]);
  if (!lease || !given) throw new Error('two were claimed');
  const never = new AbortController().signal;
  for (const word of [limited.tasks.secrets(lease, never), limited.tasks.project(lease, never)]) {
    await expect(word).rejects.toThrow(SupersededError);
  }
  await expect(harness.coordinator.tasks.secrets(given, never)).rejects.toThrow(SupersededError);
  const stranger = new ApiCoordinator(connection, harness.workerId);
  await expect(stranger.tasks.secrets(lease, never)).rejects.toThrow('404');
  await expect(stranger.tasks.complete(lease, null)).rejects.toThrow('404');
  await harness.coordinator.tasks.complete(lease, null);
});

test('it is cordoned, drained and evicted as any other, and has the labels that its enrolment names', async () => {
  await using git = await startGitServer();
  const repository = await git.createRepository('orders');
  const { db } = stack.orchestrator;
  const enrolment = { name: 'rig', labels: ['rig'], projectIds: null, expiresInMinutes: 1 };
  const { token } = await createEnrolment(db, enrolment, 'test');
  const said = { token, nonce: 'n'.repeat(43), name: 'far', version: '1', capacity: 2, labels: ['mine'] };
  const enrolled = await enrol(stack.orchestrator, said);
  if (!enrolled.ok) throw new Error(enrolled.reason);
  await using first = await openFarWorker(stack, { url: harness.url, token: enrolled.token });
  await using second = await openFarWorker(stack, { url: harness.url, token: enrolled.token });
  const record = async (id: string) => (await findWorkers(db, { ids: [id] }))[0];
  const [one, two] = [first.worker, second.worker];
  expect(await record(one.id)).toMatchObject({ labels: expect.arrayContaining(['rig', 'runtime:local']) });
  await cordonWorker(stack.orchestrator, one.id, 'test');
  await cordonWorker(stack.orchestrator, two.id, 'test');
  const { build } = await start(repository.url, script({ wait: 600 }));
  const beaten = (await record(one.id))?.heartbeatAt ?? new Date();
  await waitFor(async () => ((await record(one.id))?.heartbeatAt ?? beaten) > beaten, { everyMs: 50 });
  expect([one.running, two.running]).toEqual([0, 0]);
  await uncordonWorker(stack.orchestrator, one.id, 'test');
  await waitFor(() => one.running === 1, { what: 'the claim' });
  await uncordonWorker(stack.orchestrator, two.id, 'test');
  await evictWorker(stack.orchestrator, one.id, 'test');
  expect(await one.dismissed).toBe('evicted');
  await waitFor(() => two.running === 1, { what: 'the other worker' });
  await drainWorker(stack.orchestrator, { id: two.id, graceSeconds: 0, mode: 'PUT_BACK' }, 'test');
  expect(await two.dismissed).toBe('drained');
  const outcomes = db.selectFrom('build_attempts').select('outcome').where('build_id', '=', build.id);
  expect((await outcomes.execute()).map(({ outcome }) => outcome)).toEqual(['RELEASED', 'RELEASED']);
});

test('the secrets of a build are told while its attempt runs, and its branch is the only one', async () => {
  const { build } = await start(FAR, script({ print: 'x' }));
  const store = harness.open(await harness.claim());
  await store.ask('secrets', { variable: null });
  const commit = { sha: 'a'.repeat(40), branch: 'other', expected: null, filesChanged: [] };
  await expect(store.commit(1, 'PUSH_INTENT', { commit, pack: null })).rejects.toThrow('its own branch');
  const events = [{ type: 'FINISHED', data: { status: 'COMPLETED', reason: null, message: null } }] as const;
  await expect(store.commit(1, 'WRITE', { changes: { events } })).rejects.toThrow('400');
  await store.commit(1, 'FINISH', { conclusion: { status: 'COMPLETED', result: {} } });
  await expect(store.ask('secrets', { variable: null })).rejects.toThrow(SupersededError);
  expect(await stack.finished(build.id)).toMatchObject({ status: 'COMPLETED' });
});

test('a remote worker does not send its token in the clear, and says what is missing', async () => {
  const environment = { PATH: process.env.PATH ?? '', SLIPWAY_DATA: stack.dataFolder, SLIPWAY_SANDBOX: 'none' };
  const work = (server: string, more: Record<string, string> = {}) =>
    runCommand(['work', '--server', server], { environment: { ...environment, ...more } });
  const clear = await work('http://slipway.example.com', { SLIPWAY_TOKEN: 'slipway_secret' });
  expect(clear).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('--allow-http') });
  expect(clear.stderr).not.toContain('slipway_secret');
  expect(await work(harness.url)).toMatchObject({ stderr: expect.stringContaining('--token-file') });
  const refused = await work(harness.url, { SLIPWAY_TOKEN: harness.api.token.replace(/.$/, '') });
  expect(refused.stderr).toContain('the scope work');
});

test('a body that is no entry, too large or too deep is refused, and the server lives on', async () => {
  await start(FAR, script({ print: 'x' }));
  const { id, attemptNo } = await harness.claim();
  const path = `/worker/v1/workers/${harness.workerId}/builds/${id}/attempts/${attemptNo}`;
  const headers = { authorization: `Bearer ${harness.token}`, 'content-type': 'application/json' };
  const post = (body: string | Uint8Array<ArrayBuffer>, more = {}) =>
    fetch(`${harness.url}${path}/entries/1/WRITE`, { method: 'POST', body, headers: { ...headers, ...more } });
  const bomb = new Uint8Array(gzipSync(Buffer.alloc(80 * 1024 * 1024, 32), { level: 1 }));
  expect((await post('{')).status).toBe(400);
  expect((await post('{"changes": {"checkpoint": {"commit": {}}}}')).status).toBe(400);
  expect((await post('['.repeat(200_000))).status).toBe(400);
  expect((await post(bomb, { 'content-encoding': 'gzip' })).status).toBe(400);
  const piece = (offset: string, size = 4) =>
    fetch(`${harness.url}${path}/uploads/${id}?offset=${offset}`, { method: 'PUT', headers, body: 'x'.repeat(size) });
  expect([(await piece('-1')).status, (await piece('x')).status, (await piece('1e12')).status]).toEqual([
    413, 413, 413,
  ]);
  expect((await piece('0', 1024 * 1024 + 1)).status).toBe(413);
  const outside = await fetch(`${harness.url}${path}/uploads/..%2F..%2Fx?offset=0`, {
    method: 'PUT',
    headers,
    body: 'x',
  });
  expect(outside.status).toBe(404);
  for (const more of ['', '/builds', `/builds/${id}`, path.slice(55), `${path.slice(55)}/entries/1`]) {
    const nothing = await fetch(`${harness.url}${path.slice(0, 55)}${more}`, { method: 'POST', headers, body: '{}' });
    expect([more, nothing.status, nothing.headers.get('content-type')]).toEqual([
      more,
      404,
      'application/problem+json',
    ]);
  }
  const store = harness.open({ id, attemptNo });
  const file = { id, name: 'a', contentType: 'x' };
  const lost = { file, content: { id, sizeBytes: 3, sha256: 'a'.repeat(64) } };
  await expect(harness.connection.post(`${path.slice(10)}/entries/1/KEEP_ARTIFACT`, lost)).rejects.toThrow('not whole');
  expect(await store.lastNumber()).toBe(0);
  await store.commit(1, 'FINISH', { conclusion: { status: 'COMPLETED', result: {} } });
});
