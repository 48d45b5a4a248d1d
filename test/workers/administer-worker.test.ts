/** Cordon, drain and evict, with real workers that run real builds; labels; and that nothing is recorded twice. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Build, findBuild } from '../../src/builds/build.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { claimBuilds, heartbeat } from '../../src/builds/claim-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { NotFoundError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { ordersTopic, QUEUE_TOPIC } from '../../src/events/topics.ts';
import { cordonWorker, drainWorker, evictWorker, uncordonWorker } from '../../src/workers/administer-worker.ts';
import type { AgentReport } from '../../src/workers/probe-agents.ts';
import { findWorkers, markStopped, registerWorker, updateAgents } from '../../src/workers/registry.ts';
import { readStanding } from '../../src/workers/standing.ts';
import { Worker } from '../../src/workers/worker.ts';
import { claimByHand, claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let projectId: string;
const workers: Worker[] = [];

beforeAll(async () => {
  stack = await openTestStack();
  projectId = (await stack.createProject()).id;
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker[Symbol.asyncDispose]()));
});
afterAll(() => stack[Symbol.asyncDispose]());

async function openWorker(name: string, labels: readonly string[] = []): Promise<Worker> {
  const worker = new Worker(stack.orchestrator, { name, capacity: 2, labels });
  workers.push(worker);
  await worker.open();
  return worker;
}

async function start(...steps: object[]): Promise<string> {
  const spec = { prompt: script(...steps), autoCommit: false };
  return (await startBuild(stack.orchestrator, { projectId, spec }, 'test')).build.id;
}

const find = async (id: string) => (await findBuild(stack.orchestrator.db, id)) as Build;
const runs = (id: string) => waitFor(async () => (await find(id)).phase === 'AGENT', { what: 'the agent' });
const statusOf = async ({ id }: { id: string }) => (await findWorkers(stack.orchestrator.db, { ids: [id] }))[0]?.status;

async function actionsOn(id: string): Promise<string[]> {
  const query = stack.orchestrator.db.selectFrom('audit_log').select(['action', 'actor']).where('subject_id', '=', id);
  return (await query.orderBy('id').execute()).map(({ action, actor }) => `${actor} ${action}`);
}

async function attemptsOf(id: string) {
  const query = stack.orchestrator.db.selectFrom('build_attempts').select(['worker_id', 'outcome']);
  return (await query.where('build_id', '=', id).orderBy('attempt_no').execute()).map((row) => ({ ...row }));
}

function report(name: string, available: boolean): AgentReport {
  const capabilities = { resume: false, cost: false, models: true, messages: [], questions: false, permissions: false };
  const found = available
    ? { version: '1', reason: null, remedy: null }
    : { version: null, reason: 'no', remedy: 'do' };
  return { name, capabilities, keyed: true, available, ...found };
}

test('a cordoned worker ends what it has and takes nothing new until it is uncordoned', async () => {
  const { orchestrator } = stack;
  const worker = await openWorker('cordoned');
  const first = await start({ wait: 60 });
  await runs(first);
  expect(await cordonWorker(orchestrator, worker.id, 'ann')).toMatchObject({ status: 'CORDONED', cordonedBy: 'ann' });
  await cordonWorker(orchestrator, worker.id, 'bob');
  const second = await start({ print: 'hello' });
  // A look of the worker at the queue, and a heartbeat.
  const { heartbeatAt } = (await findWorkers(orchestrator.db, { ids: [worker.id] }))[0] ?? {};
  const beaten = async () =>
    ((await findWorkers(orchestrator.db, { ids: [worker.id] }))[0]?.heartbeatAt ?? 0) > (heartbeatAt ?? 0);
  orchestrator.hub.announce(QUEUE_TOPIC, ordersTopic(worker.id));
  await waitFor(beaten, { deadlineMs: 20_000, everyMs: 100, what: 'a heartbeat' });
  expect([(await find(first)).status, (await find(second)).status]).toEqual(['RUNNING', 'PENDING']);
  // Who comes with its name and place is cordoned, too; others are not.
  const place = orchestrator.runtime.place;
  const again = { id: v7(), name: 'cordoned', place, version: '1', capacity: 1, agents: [] };
  await registerWorker(orchestrator.db, again);
  await registerWorker(orchestrator.db, { ...again, id: v7(), name: 'cordoned', place: 'elsewhere' });
  expect(await statusOf(again)).toBe('CORDONED');
  const all = await findWorkers(orchestrator.db);
  expect(all.filter(({ status }) => status === 'ONLINE')).toHaveLength(1);
  await markStopped(
    orchestrator.db,
    all.filter(({ id }) => id !== worker.id).map(({ id }) => id),
  );

  expect(await uncordonWorker(orchestrator, worker.id, 'ann')).toMatchObject({ status: 'ONLINE', cordonedAt: null });
  await uncordonWorker(orchestrator, worker.id, 'ann');
  expect(await stack.finished(second)).toMatchObject({ status: 'COMPLETED' });
  expect(await actionsOn(worker.id)).toEqual(['ann cordonWorker', 'ann uncordonWorker']);
  await expect(cordonWorker(orchestrator, v7(), 'ann')).rejects.toThrow(NotFoundError);
});

test('a drained worker lets what runs end, or puts it back when its time is over, and is dismissed', async () => {
  const { orchestrator } = stack;
  const worker = await openWorker('drained');
  const [short, long] = [await start({ wait: 2 }), await start({ wait: 600 })];
  await Promise.all([runs(short), runs(long)]);
  const order = { id: worker.id, graceSeconds: 600, mode: 'PUT_BACK' } as const;
  expect(await drainWorker(orchestrator, order, 'ann')).toMatchObject({ status: 'DRAINING' });
  const waiting = await start({ print: 'hello' });
  expect(await stack.finished(short)).toMatchObject({ status: 'COMPLETED', attemptNo: 1 });
  // Later is not sooner: neither heeded nor recorded.
  await drainWorker(orchestrator, { ...order, graceSeconds: 900 }, 'bob');
  expect((await find(long)).status).toBe('RUNNING');
  await drainWorker(orchestrator, { ...order, graceSeconds: 0 }, 'ann');
  expect(await worker.dismissed).toBe('drained');
  expect(worker.running).toBe(0);
  expect([(await find(long)).status, (await find(waiting)).status]).toEqual(['PENDING', 'PENDING']);
  expect(await attemptsOf(long)).toEqual([{ worker_id: worker.id, outcome: 'RELEASED' }]);
  expect(await actionsOn(worker.id)).toEqual(['ann drainWorker', 'ann drainWorker']);
  await worker[Symbol.asyncDispose]();
  expect(await statusOf(worker)).toBe('OFFLINE');
  await drainWorker(orchestrator, { ...order, graceSeconds: 0 }, 'ann');
  expect(await actionsOn(worker.id)).toHaveLength(2);
  await expect(drainWorker(orchestrator, { ...order, graceSeconds: -1 }, 'ann')).rejects.toThrow('graceSeconds');
  for (const id of [long, waiting]) await cancel(id);
});

test('of an evicted worker the builds go on elsewhere at once; it is told, and none of its leases is renewed', async () => {
  const { orchestrator } = stack;
  const evicted = await openWorker('evicted');
  const id = await start({ wait: 3 }, { print: 'over' });
  await runs(id);
  const other = await openWorker('other');
  const before = await find(id);
  const [record] = await Promise.all([
    evictWorker(orchestrator, evicted.id, 'ann'),
    evicted.dismissed.then((dismissal) => expect(dismissal).toBe('evicted')),
  ]);
  expect(record.status).toBe('EVICTED');
  await evictWorker(orchestrator, evicted.id, 'bob');
  expect(await stack.finished(id, 30_000)).toMatchObject({ status: 'COMPLETED' });
  expect(await attemptsOf(id)).toEqual([
    { worker_id: evicted.id, outcome: 'RELEASED' },
    { worker_id: other.id, outcome: 'FINISHED' },
  ]);
  const events = await readEvents(orchestrator.db, { buildId: id, after: before.lastSeq, limit: 10 });
  expect(events.find(({ type }) => type === 'RETRY_SCHEDULED')).toMatchObject({ data: { reason: 'EVICTED' } });
  expect(await actionsOn(evicted.id)).toEqual(['ann evictWorker']);
  expect(await readStanding(orchestrator.db, evicted.id)).toMatchObject({ takesWork: false, isEvicted: true });
});

test('a worker that is told to take nothing is given nothing, whatever it has read before; an order waits for its claim', async () => {
  const { orchestrator } = stack;
  const order = (id: string) => ({ id, graceSeconds: 60, mode: 'PUT_BACK' as const });
  const [cordoned, drained, evicted] = [
    await registerByHand(stack),
    await registerByHand(stack),
    await registerByHand(stack),
  ];
  await cordonWorker(orchestrator, cordoned, 'ann');
  await drainWorker(orchestrator, order(drained), 'ann');
  await evictWorker(orchestrator, evicted, 'ann');
  const build = await start({ print: 'hello' });
  for (const id of [cordoned, drained, evicted]) expect(await claimBuilds(orchestrator, claimer(id), 9)).toEqual([]);
  await uncordonWorker(orchestrator, cordoned, 'ann');

  // A claim that has read that it may, and has not taken anything yet.
  const { db } = orchestrator;
  const waiting = async () => {
    const { rows } = await sql`select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and state = 'active'`.execute(db);
    return rows.length;
  };
  let isCordoned = false;
  const [claims, cordon] = await db.transaction().execute(async (trx) => {
    await sql`select queue_hold()`.execute(trx);
    const claiming = claimBuilds(orchestrator, claimer(cordoned), 9);
    await waitFor(async () => (await waiting()) === 1, { what: 'a claim that waits' });
    const cordoning = cordonWorker(orchestrator, cordoned, 'ann').then(() => {
      isCordoned = true;
    });
    await waitFor(async () => isCordoned || (await waiting()) === 2, { what: 'an order that waits' });
    expect(isCordoned).toBe(false);
    return [claiming, cordoning];
  });
  await cordon;
  expect((await claims).map(({ id }) => id)).toContain(build);
  await evictWorker(orchestrator, cordoned, 'ann');
  await cancel(build);
});

test('of an evicted worker no lease is renewed, also of what could not be put back', async () => {
  const { orchestrator } = stack;
  const id = await registerByHand(stack);
  await start({ print: 'hello' });
  const build = await claimByHand(stack, id);
  const evicted = orchestrator.db.updateTable('workers').set({ evicted_at: new Date(), evicted_by: 'ann' });
  await evicted.where('id', '=', id).execute();
  const { leaseUntil } = await lease(build.id);
  await orchestrator.db
    .updateTable('build_audit')
    .set({ lease_until: new Date(leaseUntil.getTime() - 10_000) })
    .where('id', '=', build.id)
    .execute();
  const attempts = [{ buildId: build.id, attemptNo: build.attemptNo }];
  await heartbeat(orchestrator, { workerId: id, attempts });
  expect((await lease(build.id)).leaseUntil.getTime()).toBe(leaseUntil.getTime() - 10_000);
  await evictWorker(orchestrator, id, 'ann');
  expect((await find(build.id)).status).toBe('PENDING');
  await cancel(build.id);
});

test('labels are what the operator says, the runtime and the agents; a build that nobody can run is claimed by who knows it', async () => {
  const { db, runtime } = stack.orchestrator;
  const worker = await openWorker('labelled', ['arch=arm64', 'gpu']);
  const [record] = await findWorkers(db, { ids: [worker.id] });
  expect(record?.labels.slice(0, 3)).toEqual(['arch=arm64', 'gpu', `runtime:${runtime.name}`]);
  expect(record?.labels).toContain('provider:scripted');
  expect(record?.hardware).toMatchObject({ cpus: expect.any(Number), platform: process.platform, arch: process.arch });
  expect(record?.hardware?.memoryBytes).toBeGreaterThan(1_000_000);

  const base = { place: 'labels', version: '1', capacity: 1 };
  const [one, two] = [v7(), v7()];
  await registerWorker(db, { ...base, id: one, name: 'one', agents: [report('acp:rare', false)], labels: ['gpu'] });
  expect((await readStanding(db, one)).labels).toEqual(['gpu', 'provider:acp:rare']);
  expect((await findWorkers(db, { ids: [one] }))[0]?.labels).toEqual(['gpu']);
  await registerWorker(db, { ...base, id: two, name: 'two', agents: [report('acp:rare', true)] });
  expect((await readStanding(db, one)).labels).toEqual(['gpu']);
  expect((await readStanding(db, two)).labels).toEqual(['provider:acp:rare']);
  await updateAgents(db, one, [report('acp:rare', true), report('codex', true)]);
  expect((await readStanding(db, one)).labels).toEqual(['gpu', 'provider:acp:rare', 'provider:codex']);
  await markStopped(db, [two]);
  await updateAgents(db, one, [report('acp:rare', false)]);
  expect((await readStanding(db, one)).labels).toEqual(['gpu', 'provider:acp:rare']);
  expect((await readStanding(db, v7())).takesWork).toBe(false);
  await markStopped(db, [one]);
});

async function lease(id: string) {
  const query = stack.orchestrator.db.selectFrom('build_audit').select('lease_until').where('id', '=', id);
  return { leaseUntil: (await query.executeTakeFirstOrThrow()).lease_until as Date };
}

const cancel = (id: string) => cancelBuild(stack.orchestrator, { id }, 'test');
