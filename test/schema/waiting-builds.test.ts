/** Why builds wait, where in the queue, and until when; and the state of the queue as it changes. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Project } from '../../src/projects/project.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { claimByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api } from './api.ts';
import { finish } from './finish.ts';

let stack: TestStack;
let api: Api;
let project: Project;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  project = await stack.createProject();
});
afterAll(() => stack[Symbol.asyncDispose]());

async function start(spec: Record<string, unknown> = {}, projectId = project.id): Promise<string> {
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x', ...spec } }, 'test');
  return build.id;
}

async function look(id: string) {
  const answer = await api.data(
    `{ build(id: "${toPublicId('build', id)}") { status queuePosition estimatedStartAt waitingReason { code message } } }`,
  );
  return answer.build;
}

/** In the database, alive, with the agent `scripted`. */
async function addWorker(capacity: number, name: string, providers = ['scripted']): Promise<string> {
  const id = v7();
  const labels = providers.map((provider) => `provider:${provider}`);
  const row = { id, name, host: name, process: 'test', version: '1', capacity, labels };
  await stack.orchestrator.db.insertInto('workers').values(row).execute();
  return id;
}

const change = (statement: ReturnType<typeof sql>) => statement.execute(stack.orchestrator.db);
const until = (text: string) => expect.stringContaining(text);

it('says what each waiting build waits for, and where it is', async () => {
  const { db, queue } = stack.orchestrator;
  const first = await start();
  expect(await look(first)).toEqual({
    status: 'PENDING',
    queuePosition: null,
    estimatedStartAt: null,
    waitingReason: {
      code: 'NO_WORKER',
      message: 'No worker that takes builds has the label provider:scripted. None lives: start one.',
    },
  });
  await addWorker(1, 'wrong', ['codex']);
  expect((await look(first)).waitingReason.message).toBe(
    'No worker that takes builds has the label provider:scripted. Nearest is wrong, which lacks provider:scripted.',
  );

  const worker = await addWorker(1, 'right');
  const second = await start();
  expect(await look(first)).toMatchObject({ queuePosition: 1, waitingReason: { code: 'NEXT' } });
  // No build has ended, so that nobody knows how long the one before will take.
  expect(await look(second)).toMatchObject({ queuePosition: 2, estimatedStartAt: null });

  const at = new Date(Date.now() + 3_600_000).toISOString();
  const later = await start({ runAfter: new Date(at) });
  expect(await look(later)).toMatchObject({
    queuePosition: null,
    estimatedStartAt: at,
    waitingReason: { code: 'RUN_AFTER', message: until(at) },
  });
  await change(sql`update build_audit set waiting_for = 'QUOTA', resume_at = run_after where id = ${later}`);
  expect(await look(later)).toMatchObject({ waitingReason: { code: 'QUOTA', message: until(at) } });

  expect((await claimByHand(stack, worker)).id).toBe(first);
  expect(await look(first)).toMatchObject({ status: 'RUNNING', queuePosition: null, waitingReason: null });
  expect(await look(second)).toMatchObject({
    queuePosition: 1,
    waitingReason: { code: 'NO_FREE_SLOT', message: until('all 1 are taken') },
  });

  await change(sql`select queue_configure(${project.id}, 1, 1, 1)`);
  await addWorker(5, 'other');
  expect(await look(second)).toMatchObject({ queuePosition: 1, waitingReason: { code: 'PROJECT_LIMIT' } });
  await change(sql`select queue_limit(1)`);
  expect(await look(second)).toMatchObject({ waitingReason: { code: 'LIMIT', message: until('1 may run') } });
  await change(sql`select queue_pause(${project.id}, 'me')`);
  expect(await look(second)).toMatchObject({ queuePosition: null, waitingReason: { code: 'PROJECT_PAUSED' } });
  await change(sql`select queue_pause(null, 'me')`);
  expect(await look(second)).toMatchObject({ estimatedStartAt: null, waitingReason: { code: 'PAUSED' } });
  await change(sql`select queue_resume(null), queue_resume(${project.id})`);
  // What has ended is free, also before a claim has counted it.
  await finish(stack.orchestrator, first);
  expect(await look(second)).toMatchObject({ queuePosition: 1, waitingReason: { code: 'NEXT' } });
  await change(sql`select queue_limit(null), queue_configure(${project.id}, 1, null, 1)`);

  // Behind a key, and behind a credential.
  const keyed = await start();
  const credential = v7();
  await db.transaction().execute((trx) => queue.remove(trx, second));
  for (const id of [second, keyed]) {
    await change(sql`delete from queue_items where id = ${id}`);
    await change(
      sql`select queue_add(${id}, 'build', ${project.id}, '{provider:scripted}', 'press', '', 0, now(), now())`,
    );
  }
  expect((await claimByHand(stack, worker)).id).toBe(second);
  expect(await look(keyed)).toMatchObject({
    waitingReason: { code: 'KEY_LIMIT', message: until('concurrency key press holds it back: 1 may run') },
  });
  await change(sql`select queue_limit_key(${project.id}, 'press', 9)`);
  await change(sql`update queue_items set gate = ${credential}`);
  await change(sql`insert into queue_gates values (${credential}, 1, 1)`);
  expect(await look(keyed)).toMatchObject({ waitingReason: { code: 'CREDENTIAL_LIMIT' } });
});

it('expects builds to start as soon as the places that there are become free at their usual pace', async () => {
  const other = await stack.createProject();
  await change(sql`update workers set stopped_at = now()`);
  await change(sql`truncate queue_items, queue_lanes, queue_owners, queue_keys, queue_turns`);
  await addWorker(2, 'pair');
  const ended = [await start({}, other.id), await start({}, other.id), await start({}, other.id)];
  for (const id of ended) await finish(stack.orchestrator, id);
  const minutes = [1, 3, 50];
  for (const [index, id] of ended.entries()) {
    await change(sql`update build_audit set started_at = finished_at - make_interval(mins => ${minutes[index]})
      where id = ${id}`);
  }
  const waiting: string[] = [];
  for (let index = 0; index < 6; index += 1) waiting.push(await start({}, other.id));
  const now = Date.now();
  const expected = [];
  for (const id of waiting) expected.push(Math.round((Date.parse((await look(id)).estimatedStartAt) - now) / 60_000));
  // Two at once, and then one every minute and a half.
  expect(expected).toEqual([0, 0, 2, 3, 5, 6]);
});

it('counts what waits by why it does', async () => {
  const paused = await stack.createProject();
  await change(sql`select queue_pause(${paused.id}, 'me')`);
  for (const runAfter of [null, new Date(Date.now() + 3_600_000)]) await start({ runAfter }, paused.id);
  const ask = (filter: string) =>
    api.data(`{ queueStats(filter: { ${filter} }) { waiting scheduled byReason { code count }
      byProject(first: 1) { project { slug } waiting } byLabel(key: "x") { value } } }`);
  const ours = `projectId: "${toPublicId('project', paused.id)}"`;
  expect((await ask(ours)).queueStats).toEqual({
    waiting: 1,
    scheduled: 1,
    byReason: [{ code: 'PROJECT_PAUSED', count: 2 }],
    byProject: [{ project: { slug: paused.slug }, waiting: 1 }],
    byLabel: [],
  });
  expect((await ask(`${ours}, provider: ["codex"]`)).queueStats).toMatchObject({
    waiting: 0,
    byReason: [],
    byProject: [],
  });
  const { errors } = await api.run('{ queueStats { byProvider(first: 101) { provider } } }');
  expect(errors[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: ['first'] }] });
});

it('tells all who look on the same figures, at once, when they change, and at most twice a second', async () => {
  const { hub, watchQueue } = stack.orchestrator;
  const busy = await stack.createProject();
  const publicId = toPublicId('project', busy.id);
  const stream = await api.subscribe(
    `subscription { queueActivity(projectId: "${publicId}") { waiting byProvider { waiting } } }`,
  );
  if ('errors' in stream) throw new Error(JSON.stringify(stream.errors));
  const nextWaiting = async () => (await stream.next()).value.data.queueActivity.waiting;
  expect(await nextWaiting()).toBe(0);
  const waiters = hub.waiters;
  const beside = watchQueue([busy.id]);
  const again = watchQueue([busy.id]);
  expect(hub.waiters).toBe(waiters);
  expect((await beside.next()).value).toBe((await again.next()).value);

  const frames: [number, number][] = [];
  while ((frames.at(-1)?.[0] ?? 0) < 20) {
    if (frames.length === 0) for (let count = 0; count < 5; count += 1) await start({}, busy.id);
    else if (frames.at(-1)?.[0] !== 20)
      for (let count = frames.at(-1)?.[0] ?? 0; count < 20; count += 1) await start({}, busy.id);
    frames.push([await nextWaiting(), performance.now()]);
  }
  expect(frames.length).toBeLessThan(10);
  for (const [index, [, at]] of frames.entries())
    if (index > 0) expect(at - (frames[index - 1]?.[1] ?? 0)).toBeGreaterThan(300);

  const waiting = stream.next();
  await stream.return(undefined);
  expect(await waiting).toMatchObject({ done: true });
  await beside.return?.();
  expect(hub.waiters).toBe(waiters);
  await again.return?.();
  expect(hub.waiters).toBe(0);
});

it('is told of all projects when there is something new in any, and of a failure', async () => {
  const { watchQueue, hub } = stack.orchestrator;
  const all = watchQueue(null);
  const before = (await all.next()).value.stats.waiting;
  await start();
  expect((await all.next()).value.stats.waiting).toBe(before + 1);
  await all.return?.();
  const broken = watchQueue(['no uuid']);
  await expect(broken.next()).rejects.toThrow('uuid');
  expect(await broken.next()).toMatchObject({ done: true });
  expect(hub.waiters).toBe(0);
});
