/** The queue's limits, pauses and priorities over the API. */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';
import { Api } from './api.ts';
import { finish } from './finish.ts';

let stack: TestStack;
let api: Api;
let workerId: string;
let projectId: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  workerId = await registerByHand(stack);
});
afterAll(() => stack[Symbol.asyncDispose]());

beforeEach(async () => {
  projectId = (await stack.createProject()).id;
});

async function start(spec: { readonly [name: string]: unknown } = {}): Promise<string> {
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x', ...spec } }, 'test');
  return build.id;
}

async function claim(max = 100): Promise<string[]> {
  const claimed: ClaimedBuild[] = await claimBuilds(stack.orchestrator, claimer(workerId), max);
  return claimed.map(({ id }) => id);
}

/** The mutation's payload, or the error that it answers with. */
async function send(name: string, input: Record<string, unknown>, fields: string): Promise<unknown> {
  const type = name.charAt(0).toUpperCase() + name.slice(1);
  const source = `mutation ($input: ${type}Input!) { result: ${name}(input: $input) { __typename
    ... on ${type}Payload { ${fields} } ... on UserError { code message } } }`;
  return (await api.data(source, { variables: { input } })).result;
}

const id = () => toPublicId('project', projectId);

test('a project is paused and goes on; the rest is not held back', async () => {
  const ours = await start();
  const paused = await send('pauseProject', { id: id() }, 'project { id pausedAt pausedBy }');
  expect(paused).toMatchObject({ project: { id: id(), pausedAt: expect.any(String), pausedBy: expect.any(String) } });
  const other = await stack.createProject();
  const { build } = await startBuild(stack.orchestrator, { projectId: other.id, spec: { prompt: 'x' } }, 'test');
  expect(await claim()).toEqual([build.id]);
  expect(await send('resumeProject', { id: id() }, 'project { pausedAt }')).toMatchObject({
    project: { pausedAt: null },
  });
  expect(await claim()).toEqual([ours]);
});

test('everything is paused and limited, and what is paused is accepted', async () => {
  expect(await send('updateQueue', { paused: true }, 'queue { pausedAt pausedBy maxRunning }')).toMatchObject({
    queue: { pausedAt: expect.any(String), maxRunning: null },
  });
  const ours = await start();
  expect(await claim()).toEqual([]);
  await send('updateQueue', { paused: false }, 'queue { pausedAt }');
  expect(await send('updateQueue', { maxRunning: 0 }, 'queue { maxRunning }')).toMatchObject({
    queue: { maxRunning: 0 },
  });
  expect(await claim()).toEqual([]);
  expect(await send('updateQueue', { maxRunning: -1 }, 'queue { maxRunning }')).toMatchObject({
    code: 'INVALID_INPUT',
  });
  await send('updateQueue', { maxRunning: null }, 'queue { maxRunning }');
  expect(await claim()).toEqual([ours]);
});

test('settings of a project: so many at a time, so many of a key', async () => {
  const settings = { queue: { maxRunning: 3, maxRunningPerKey: 2, weight: 2.5 } };
  expect(
    await send(
      'updateProject',
      { id: id(), settings },
      'project { settings { queue { maxRunning maxRunningPerKey weight } } }',
    ),
  ).toMatchObject({ project: { settings } });
  for (let count = 0; count < 3; count += 1) await start({ concurrencyKey: 'site' });
  for (let count = 0; count < 3; count += 1) await start();
  const claimed = await claim();
  expect(claimed).toHaveLength(3);
  const limit = { projectId: id(), key: 'site', maxRunning: 1 };
  expect(await send('setKeyLimit', limit, 'project { concurrencyKeys { name maxRunning running } }')).toMatchObject({
    project: { concurrencyKeys: [{ name: 'site', maxRunning: 1, running: 2 }] },
  });
  for (const build of claimed) await finish(stack.orchestrator, build);
  expect(await claim()).toHaveLength(3);
  expect(await send('setKeyLimit', { ...limit, key: ' ' }, 'project { id }')).toMatchObject({ code: 'INVALID_INPUT' });
  await checkQueue(stack.orchestrator.db);
});

test('a build that waits is given another priority; one that runs has no place any more', async () => {
  const [first, second] = [await start(), await start()];
  const build = (uuid: string) => toPublicId('build', uuid);
  expect(await send('setBuildPriority', { id: build(second), priority: 1 }, 'build { priority }')).toMatchObject({
    build: { priority: 1 },
  });
  expect(await claim(1)).toEqual([second]);
  expect(await send('setBuildPriority', { id: build(second), priority: 2 }, 'build { id }')).toMatchObject({
    code: 'BUILD_STATE',
  });
  expect(await send('setBuildPriority', { id: build(first), priority: 101 }, 'build { id }')).toMatchObject({
    code: 'INVALID_INPUT',
  });
  expect(await claim(1)).toEqual([first]);
});

test('a build is given only to a worker that has its labels', async () => {
  const ours = await start({ runsOn: ['gpu'] });
  expect(await claim()).toEqual([]);
  const labels = [...claimer(workerId).labels, 'gpu'];
  const claimed = await claimBuilds(stack.orchestrator, { ...claimer(workerId), labels }, 9);
  expect(claimed.map((build) => build.id)).toEqual([ours]);
  await expect(start({ runsOn: ['not a label'] })).rejects.toThrow('must begin with a letter or digit');
});

test('what is changed is in the audit log', async () => {
  await send('pauseProject', { id: id() }, 'project { id }');
  await send('updateQueue', { maxRunning: 7 }, 'queue { maxRunning }');
  await send('updateQueue', { maxRunning: null, paused: false }, 'queue { maxRunning }');
  await send('updateQueue', { paused: null }, 'queue { maxRunning }');
  const { rows } = await sql<{ action: string; detail: unknown }>`
    select action, detail from audit_log order by id desc limit 3`.execute(stack.orchestrator.db);
  expect(rows).toEqual([
    { action: 'updateQueue', detail: { maxRunning: null, paused: false } },
    { action: 'updateQueue', detail: { maxRunning: 7 } },
    { action: 'pauseProject', detail: {} },
  ]);
});
