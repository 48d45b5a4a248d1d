/** Workers in the API: what they are, what they have run, and following them. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { findWorkers, markStopped, registerWorker } from '../../src/workers/registry.ts';
import { WorkerWatch } from '../../src/workers/worker-watch.ts';
import { claimByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Answer, Api, viewer } from './api.ts';
import { finish } from './finish.ts';

let stack: TestStack;
let api: Api;
let projectId: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  projectId = (await stack.createProject()).id;
});
afterAll(() => stack[Symbol.asyncDispose]());

const HARDWARE = { cpus: 4, memoryBytes: 8_000_000_000, platform: 'linux', arch: 'arm64' };

async function register(name: string, labels: readonly string[] = []): Promise<string> {
  const id = v7();
  const base = { place: 'here', version: '1.2.3', capacity: 3, agents: [], hardware: HARDWARE };
  await registerWorker(stack.orchestrator.db, { ...base, id, name, labels });
  return id;
}

async function claim(workerId: string, project = projectId): Promise<string> {
  const spec = { prompt: 'work', provider: 'scripted' };
  await startBuild(stack.orchestrator, { projectId: project, spec }, 'test');
  return (await claimByHand(stack, workerId)).id;
}

it('tells what a worker is, what it runs and what it has run, of the projects that may be seen', async () => {
  const worker = await register('box', ['gpu', 'arch=arm64']);
  const id = toPublicId('worker', worker);
  const [first, second] = [await claim(worker), await claim(worker)];
  await finish(stack.orchestrator, first);
  const source = `{ worker(id: "${id}") { name status version capacity labels remote running
    hardware { cpus memoryBytes platform arch } cordonedAt drainUntil evictedAt
    history(first: 5) { pageInfo { hasNextPage } nodes { attemptNo outcome durationMs endedAt build { id } } }
    oldest: history(last: 1) { nodes { build { id } } } } }`;
  const { worker: told } = await api.data(source);
  expect(told).toMatchObject({
    ...{ name: 'box', status: 'ONLINE', version: '1.2.3', capacity: 3, labels: ['gpu', 'arch=arm64'], remote: false },
    ...{ running: 1, hardware: HARDWARE, cordonedAt: null, drainUntil: null, evictedAt: null },
  });
  const [now, before] = told.history.nodes;
  expect(told.history.nodes).toHaveLength(2);
  expect(now).toEqual({
    ...{ attemptNo: 1, outcome: null, durationMs: null, endedAt: null, build: { id: toPublicId('build', second) } },
  });
  expect(before).toMatchObject({ outcome: 'FINISHED', build: { id: toPublicId('build', first) } });
  expect(before.durationMs).toBeGreaterThanOrEqual(0);
  expect(told.oldest.nodes).toEqual([{ build: { id: toPublicId('build', first) } }]);
  const other = viewer({ scopes: ['builds:read'], projectIds: [v7()] });
  const { worker: foreign } = await api.data(source, { viewer: other });
  expect(foreign).toMatchObject({ name: 'box', running: 0, history: { nodes: [] } });
  expect(await api.data(`{ worker(id: "${toPublicId('worker', v7())}") { name } }`)).toEqual({ worker: null });
  await finish(stack.orchestrator, second);
  await markStopped(stack.orchestrator.db, [worker]);
});

it('lists workers by status, labels and name', async () => {
  const ids = [await register('one', ['gpu']), await register('two', ['gpu', 'big']), await register('three')];
  await api.data(`mutation { cordonWorker(input: { id: "${toPublicId('worker', ids[0] ?? '')}" }) { __typename } }`);
  const names = async (filter: string) =>
    (await api.data(`{ workers(filter: { ${filter} }) { nodes { name } } }`)).workers.nodes.map(
      ({ name }: { name: string }) => name,
    );
  expect(await names('labels: ["gpu"], statuses: [ONLINE, CORDONED]')).toEqual(['two', 'one']);
  expect(await names('labels: ["gpu", "big"]')).toEqual(['two']);
  expect(await names('statuses: [CORDONED]')).toEqual(['one']);
  expect(await names('name: "three"')).toEqual(['three']);
  await markStopped(stack.orchestrator.db, ids);
});

it('follows a worker: as it is, then when something changes; what changes together comes as one', async () => {
  const worker = await register('followed');
  const id = toPublicId('worker', worker);
  const source = `subscription { workerActivity(workerId: "${id}") { name status running cordonedBy } }`;
  const events = (await api.subscribe(source)) as AsyncGenerator<Answer>;
  const next = async () => (await events.next()).value?.data.workerActivity;
  const { workerWatch, hub, db } = stack.orchestrator;
  expect(await next()).toEqual({ name: 'followed', status: 'ONLINE', running: 0, cordonedBy: null });
  const waiting = next();
  await register('another');
  hub.announce('workers');
  const build = await claim(worker);
  hub.announce('workers');
  expect(await waiting).toMatchObject({ running: 1 });
  const told = next();
  const admin = viewer();
  const change = `mutation { cordonWorker(input: { id: "${id}" }) { __typename } }`;
  await api.data(change, { viewer: admin });
  await finish(stack.orchestrator, build);
  expect(await told).toMatchObject({ status: 'CORDONED', cordonedBy: admin.actor });
  const last = next();
  expect(workerWatch.followers).toBe(1);
  await events.return(undefined);
  await last.catch(() => {});
  expect(workerWatch.followers).toBe(0);
  await markStopped(db, [worker]);
  const unknown = `subscription { workerActivity(workerId: "${toPublicId('worker', v7())}") { name } }`;
  expect((await api.subscribe(unknown)) as Answer).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
});

it('tells who reads slowly of each worker once, as it is last', async () => {
  const { db, hub } = stack.orchestrator;
  const watch = new WorkerWatch({ db, hub, onError: () => {} });
  const workers = watch.follow(null);
  const seen: string[] = [];
  const id = await register('slow');
  const first = await waitFor(async () => {
    const { value } = await workers.next();
    return value?.id === id ? value : null;
  });
  expect(first.status).toBe('ONLINE');
  // Nobody reads: there is one more look for each change.
  const looks = watch.follow(id);
  expect((await looks.next()).value?.status).toBe('ONLINE');
  for (const step of ['cordoned_at = now(), cordoned_by = $$a$$', 'draining_at = now()'] as const) {
    await sql`update workers set ${sql.raw(step)} where id = ${id}`.execute(db);
    hub.announce('workers');
    seen.push((await looks.next()).value?.status ?? '');
  }
  expect(seen).toEqual(['CORDONED', 'DRAINING']);
  expect((await workers.next()).value).toMatchObject({ id, status: 'DRAINING' });
  await Promise.all([workers.return?.(), looks.return?.()]);
  expect(await workers.next()).toEqual({ done: true, value: undefined });
  expect((await findWorkers(db, { ids: [id] }))[0]?.status).toBe('DRAINING');
});
