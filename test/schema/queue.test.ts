/** The queue's limits, pauses and priorities over the API. */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { QUEUE_TOPIC } from '../../src/events/topics.ts';
import { WorkerHints } from '../../src/server/worker-hints.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { PostgresCoordinator } from '../../src/workers/postgres-coordinator.ts';
import { claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';
import { waitFor } from '../support/wait-for.ts';
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

/** Claims when it is told to, and never looks by itself; as the server tells a remote worker, too. */
async function claimWhenTold() {
  const { orchestrator } = stack;
  const self = { id: await registerByHand(stack), name: 'told', place: 'elsewhere' };
  const coordinator = new PostgresCoordinator(orchestrator, self);
  const claimed: string[] = [];
  let looks = 0;
  let last: Promise<unknown> = Promise.resolve();
  const off = coordinator.onWork(() => {
    looks += 1;
    last = last
      .then(() => coordinator.claim(claimer(self.id).labels, 1))
      .then((builds) => claimed.push(...builds.map((build) => build.id)));
  });
  const rest = async () => {
    for (let before: unknown; before !== last; ) {
      before = last;
      await before;
    }
  };
  return { id: self.id, claimed, looks: () => looks, rest, [Symbol.dispose]: off };
}

test.each(['projects', 'queue_items', 'build_audit'])(
  'what a claim passes over, because somebody holds its row of %s, is asked for again until it is free',
  async (table) => {
    const { db, hub } = stack.orchestrator;
    const build = await start();
    using told = await claimWhenTold();
    using hints = new WorkerHints(hub);
    await db.transaction().execute(async (trx) => {
      const held = table === 'projects' ? projectId : build;
      await sql`select 1 from ${sql.table(table)} where id = ${held} for no key update`.execute(trx);
      hub.announce(QUEUE_TOPIC);
      await waitFor(() => told.looks() > 2, { what: 'a worker that is told to look again' });
      const about = { workerId: told.id, topics: new Map(), takesTasks: false };
      const hint = await hints.next(about, { ms: 60_000, gone: new AbortController().signal });
      expect([hint.work, told.claimed]).toEqual([true, []]);
    });
    await waitFor(() => told.claimed.length > 0, { what: 'the claim' });
    expect(told.claimed).toEqual([build]);
    await finish(stack.orchestrator, build);
    await checkQueue(db);
  },
);

test('whatever has held a build back, it is announced when it does so no more', async () => {
  const { orchestrator } = stack;
  await sql`insert into provider_keys values ('scripted', 'ANTHROPIC_API_KEY')`.execute(orchestrator.db);
  using told = await claimWhenTold();
  const runsWithKey = async () => {
    const build = await start({ concurrencyKey: 'k' });
    await waitFor(() => told.claimed.includes(build), { what: 'the one that runs' });
    return build;
  };
  const done = async (name: string, input: Record<string, unknown>, fields: string) =>
    expect(await send(name, input, fields)).not.toHaveProperty('code');
  const ofProject = (name: string, input: object = {}) => done(name, { id: id(), ...input }, 'project { id }');
  const ofQueue = (input: Record<string, unknown>) => done('updateQueue', input, 'queue { maxRunning }');
  const ofWorker = (name: string) => done(name, { id: toPublicId('worker', told.id) }, 'worker { id }');
  const ofKey = (name: string, input: object = {}) =>
    done(name, { projectId: id(), name: 'key', ...input }, 'credential { maxRunning }');
  const modelApiKey = { variable: 'ANTHROPIC_API_KEY', key: 'sk-ant-0123456789' };
  const fullKey = async () => [
    await ofKey('setCredential', { modelApiKey }),
    await ofKey('setCredentialLimit', { maxRunning: 0 }),
  ];
  const queue = (input: object) => ofProject('updateProject', { settings: { queue: input } });
  /** What holds it back, and what lets it go. */
  const cases: Readonly<Record<string, readonly [() => Promise<unknown>, () => Promise<unknown>]>> = {
    'a pause of all': [() => ofQueue({ paused: true }), () => ofQueue({ paused: false })],
    'a pause of its project': [() => ofProject('pauseProject'), () => ofProject('resumeProject')],
    'the limit of all': [() => ofQueue({ maxRunning: 0 }), () => ofQueue({ maxRunning: null })],
    'the limit of its project': [() => queue({ maxRunning: 0 }), () => queue({ maxRunning: null })],
    'the limit of keys': [runsWithKey, () => queue({ maxRunningPerKey: 2 })],
    'the limit of its key': [
      runsWithKey,
      () => done('setKeyLimit', { projectId: id(), key: 'k', maxRunning: 2 }, 'project { id }'),
    ],
    'another one with its key': [runsWithKey, async () => finish(orchestrator, told.claimed.pop() ?? '')],
    'the limit of its credential': [fullKey, () => ofKey('setCredentialLimit', { maxRunning: 1 })],
    'a credential that is deleted': [fullKey, () => ofKey('deleteCredential')],
    'a worker that takes nothing': [() => ofWorker('cordonWorker'), () => ofWorker('uncordonWorker')],
  };
  for (const [what, [hold, release]] of Object.entries(cases)) {
    projectId = (await stack.createProject()).id;
    await hold();
    const build = await start({ concurrencyKey: 'k' });
    await told.rest();
    expect(told.claimed, what).not.toContain(build);
    await release();
    await waitFor(() => told.claimed.includes(build), { what: `the build that was held back by ${what}` });
    for (const each of told.claimed.splice(0)) await finish(orchestrator, each);
  }
  await sql`delete from provider_keys`.execute(orchestrator.db);
  await checkQueue(orchestrator.db);
});

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
