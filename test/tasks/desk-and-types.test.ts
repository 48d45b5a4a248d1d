/** Where tasks are claimed, what types they have, and who hears of them. */
import { sql } from 'kysely';
import { Webhook } from 'standardwebhooks';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBuild } from '../../src/builds/build.ts';
import { CallbackDelivery } from '../../src/callbacks/deliver-callbacks.ts';
import { findTaskDeliveries } from '../../src/callbacks/delivery.ts';
import { redeliverCallback } from '../../src/callbacks/redeliver-callback.ts';
import { readSigningSecrets } from '../../src/credentials/signing-secrets.ts';
import { NotFoundError, OverloadedError, TaskStateError } from '../../src/errors.ts';
import { TASKS_TOPIC } from '../../src/events/topics.ts';
import { findProject } from '../../src/projects/project.ts';
import { cancelTask, requeueTask } from '../../src/tasks/change-task.ts';
import { followTask } from '../../src/tasks/follow-task.ts';
import { listTasks } from '../../src/tasks/list-tasks.ts';
import { restoreTasks } from '../../src/tasks/rescue-tasks.ts';
import { TaskDesk } from '../../src/tasks/task-desk.ts';
import { readTaskEvents } from '../../src/tasks/task-events.ts';
import { deleteTaskType, listTaskTypes, setTaskType } from '../../src/tasks/task-type.ts';
import { completeTask, failTask, heartbeatTask } from '../../src/tasks/work-on-task.ts';
import { openReceiver } from '../callbacks/receiver.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';
import { waitFor } from '../support/wait-for.ts';

import { issuesOf, lease, TaskBench } from './task-bench.ts';

let stack: TestStack;
let bench: TaskBench;

beforeAll(async () => {
  stack = await openTestStack();
  bench = new TaskBench(stack);
});
afterAll(async () => {
  await checkQueue(stack.orchestrator.db);
  await stack[Symbol.asyncDispose]();
});

describe('the desk', () => {
  it('gives each task to one of those that wait, as soon as it is there', async () => {
    const type = await bench.newType();
    const workers = Array.from({ length: 30 }, (_, n) => bench.ask(type, { waitSeconds: 30, workerName: `w${n}` }));
    await waitFor(() => stack.orchestrator.desk.waiting === 30);
    const tasks = await Promise.all(Array.from({ length: 30 }, () => bench.enqueue(type)));
    const given = (await Promise.all(workers)).map((mine, n) => {
      expect(mine).toMatchObject([{ claimedBy: `bot/w${n}` }]);
      return mine[0]?.id;
    });
    expect(new Set(given)).toEqual(new Set(tasks.map(({ task }) => task.id)));
    expect(stack.orchestrator.desk.waiting).toBe(0);
  });

  it('answers with nothing when the time is over, or nobody waits any more: no task is lost', async () => {
    const type = await bench.newType();
    expect(await bench.ask(type, { waitSeconds: 0.05 })).toEqual([]);
    const gone = new AbortController();
    const asked = bench.ask(type, { waitSeconds: 30, signal: gone.signal });
    await waitFor(() => stack.orchestrator.desk.waiting === 1);
    const other = bench.enqueue(type);
    gone.abort();
    const [mine] = await asked;
    const { task } = await other;
    const found = mine ?? (await bench.claim(type, { waitSeconds: 30 }));
    expect(found.id).toBe(task.id);
    expect(await bench.ask(type, { signal: gone.signal })).toEqual([]);
  });

  it('lets no more than a thousand wait, and ends all of them at once', async () => {
    const type = await bench.newType();
    const desk = new TaskDesk(stack.orchestrator);
    const wait = () =>
      desk.claim({ claimant: 'bot', projectIds: null, workerName: 'w', types: [type], waitSeconds: 60 });
    const all = Array.from({ length: 1_000 }, wait);
    await waitFor(() => desk.waiting === 1_000);
    await expect(wait()).rejects.toThrow(OverloadedError);
    await desk[Symbol.asyncDispose]();
    expect((await Promise.all(all)).flat()).toEqual([]);
    expect([await wait(), desk.waiting]).toEqual([[], 0]);
  });

  it('gives a token that is limited to projects only their tasks', async () => {
    const type = await bench.newType();
    const { task } = await bench.enqueue(type);
    expect(await bench.ask(type, { projectIds: [v7()] })).toEqual([]);
    expect(await bench.ask(type, { projectIds: [] })).toEqual([]);
    expect(await bench.ask(type, { projectIds: [bench.projectId] })).toMatchObject([{ id: task.id }]);
  });
});

describe('a claim that is repeated because its answer was lost', () => {
  it('is given the same tasks while their leases hold, and nothing counts twice', async () => {
    const type = await bench.newType();
    for (let n = 0; n < 5; n += 1) await bench.enqueue(type);
    const first = await bench.ask(type, { max: 3, claimId: 'a' });
    expect(first).toHaveLength(3);
    expect(await bench.ask(type, { max: 3, claimId: 'a', waitSeconds: 5 })).toEqual(first);
    expect(await bench.ask(type, { max: 3, claimId: 'a', workerName: 'other' })).toHaveLength(2);
    expect(await bench.ask(type, { claimId: 'a', projectIds: [v7()] })).toEqual([]);
    await completeTask(stack.orchestrator, lease(first[0]));
    expect(await bench.ask(type, { max: 3, claimId: 'a' })).toEqual(first.slice(1));
    await bench.expire(first[1]?.id ?? '');
    await failTask(stack.orchestrator, { ...lease(first[2]), reason: 'x', retryable: false });
    expect(await bench.ask(type, { claimId: 'a' })).toEqual([]);
    expect(await issuesOf(bench.ask(type, { claimId: ' ' }))).toEqual([expect.stringContaining('input.claimId')]);
  });

  it('is one claim, however many of it are on their way in however many processes', async () => {
    const type = await bench.newType();
    const desks = Array.from({ length: 4 }, () => new TaskDesk(stack.orchestrator));
    const ask = (n: number, claimId: string | null) =>
      (desks[n % 4] as TaskDesk).claim({
        ...{ claimant: 'bot', projectIds: null, workerName: `w${n % 2}`, types: [type], claimId, waitSeconds: 20 },
      });
    const [gone] = [new AbortController()];
    const lost = bench.ask(type, { claimId: 'b', waitSeconds: 20, workerName: 'w0', signal: gone.signal });
    const asked = Array.from({ length: 12 }, (_, n) => ask(n, 'b'));
    const nameless = ask(0, null);
    await waitFor(() => desks.reduce((sum, { waiting }) => sum + waiting, 0) === 5);
    for (let n = 0; n < 4; n += 1) await bench.enqueue(type);
    gone.abort();
    const answers = (await Promise.all([...asked, lost])).flat();
    const ids = (claimedBy: string) =>
      new Set(answers.filter((task) => task.claimedBy === claimedBy).map(({ id }) => id));
    expect([ids('bot/w0').size, ids('bot/w1').size]).toEqual([1, 1]);
    expect(await nameless).toHaveLength(1);
    expect(await bench.ask(type, { max: 9 })).toHaveLength(1);
    await Promise.all(desks.map((desk) => desk[Symbol.asyncDispose]()));
  });

  it('of one who has gone is not taken away again: he may come back for it', async () => {
    const type = await bench.newType();
    const { db } = stack.orchestrator;
    const gone = new AbortController();
    const { task } = await bench.enqueue(type);
    await db.transaction().execute(async (trx) => {
      await sql`select queue_hold()`.execute(trx);
      const asked = bench.ask(type, { claimId: 'c', signal: gone.signal });
      await waitFor(async () => {
        const { rows } = await sql`select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and state = 'active'`.execute(db);
        return rows.length > 0;
      });
      gone.abort();
      expect(await asked).toEqual([]);
    });
    expect(await bench.ask(type, { claimId: 'c', waitSeconds: 10 })).toMatchObject([{ id: task.id, attemptNo: 1 }]);
  });
});

describe('a task that somebody holds', () => {
  it('is asked for again soon, by who waits here and by who does not', async () => {
    const type = await bench.newType();
    const { db, hub } = stack.orchestrator;
    for (const waitSeconds of [20, 0]) {
      const { task } = await bench.enqueue(type);
      let told = 0;
      const off = hub.on(TASKS_TOPIC, () => {
        told += 1;
      });
      const asked = await db.transaction().execute(async (trx) => {
        await sql`select 1 from projects where id = ${bench.projectId} for no key update`.execute(trx);
        const first = bench.ask(type, { waitSeconds });
        await waitFor(() => told > 0, { what: 'somebody who is told to ask again' });
        return [first];
      });
      if (waitSeconds === 0) asked.push(bench.ask(type));
      expect((await Promise.all(asked)).flat()).toMatchObject([{ id: task.id }]);
      off();
    }
  });
});

describe('a build task', () => {
  it('is a build: enqueued as one, read from it, and changed by nobody who has only the task', async () => {
    bench.projectId = (await stack.createProject()).id;
    const payload = { prompt: 'x', provider: 'scripted' };
    const labels = [{ key: 'team', value: 'web' }];
    const { task, deduplicated } = await bench.enqueue('build', { payload, labels }, { idempotencyKey: 'k' });
    expect([task, deduplicated]).toMatchObject([{ type: 'build', status: 'PENDING', labels: { team: 'web' } }, false]);
    expect(await findBuild(stack.orchestrator.db, task.id)).toMatchObject({ spec: { prompt: 'x' } });
    expect(await bench.enqueue('build', { payload, labels }, { idempotencyKey: 'k' })).toMatchObject({
      deduplicated: true,
    });
    expect(task.needs).toEqual(['provider:scripted']);
    const refused = await issuesOf(bench.enqueue('build', { payload: {} }));
    expect(refused).toEqual([expect.stringContaining('input.payload.prompt')]);
    expect(await issuesOf(bench.enqueue('build', { payload, leaseSeconds: 60 }))).toHaveLength(1);
    await claimByHand(stack, await registerByHand(stack));
    expect(await bench.read(task.id)).toMatchObject({ status: 'RUNNING', attemptNo: 1 });
    for (const say of bench.words({ id: task.id, leaseToken: v7() }))
      await expect(say()).rejects.toThrow(TaskStateError);
    const found = await readTaskEvents(stack.orchestrator.db, { taskId: task.id, isBuild: true, after: 0, limit: 9 });
    expect(found.map(({ type }) => type)).toEqual(['QUEUED', 'CLAIMED']);
    expect(await cancelTask(stack.orchestrator, { id: task.id }, 'test')).toMatchObject({
      cancelRequestedAt: expect.any(Date),
    });
    const page = { direction: 'desc', after: null, before: null, limit: 5, fromEnd: false } as const;
    const list = (filter: object) =>
      listTasks(stack.orchestrator.db, { projectIds: [bench.projectId], ...filter }, page);
    expect(await list({ labels, types: ['build'], statuses: ['RUNNING'] })).toMatchObject([{ id: task.id }]);
    expect(await list({ builds: false })).toEqual([]);
  });
});

describe('types', () => {
  it('are those of Slipway, of all projects, and of one, which goes first', async () => {
    const name = await bench.newType({ type: 'object' });
    await setTaskType(stack.orchestrator, { projectId: null, name, schema: { type: 'array' } }, 'test');
    expect(await issuesOf(bench.enqueue(name, { payload: [] }))).toEqual(['input.payload: must be object']);
    await deleteTaskType(stack.orchestrator, { projectId: bench.projectId, name }, 'test');
    await bench.enqueue(name, { payload: [] });
    const gone = deleteTaskType(stack.orchestrator, { projectId: bench.projectId, name }, 'test');
    await expect(gone).rejects.toThrow(NotFoundError);
    const names = (await listTaskTypes(stack.orchestrator.db, { projectIds: [bench.projectId] })).map(
      (type) => type.name,
    );
    expect(names).toEqual(expect.arrayContaining(['build', 'test', 'deploy', name]));
    await deleteTaskType(stack.orchestrator, { projectId: null, name }, 'test');
  });

  it('have a schema that can be used, and whose check ends', async () => {
    const set = (schema: unknown) =>
      issuesOf(setTaskType(stack.orchestrator, { projectId: null, name: 'x', schema } as never, 'test'));
    expect(await set({ type: 'objekt' })).toHaveLength(1);
    expect(await set({ $ref: 'http://127.0.0.1:1/schema.json' })).toEqual([expect.stringContaining("can't resolve")]);
    expect(await set({ unknownWord: 1 })).toHaveLength(1);
    expect(await set([])).toHaveLength(1);
    expect(await set({ title: 'x'.repeat(64 * 1024) })).toHaveLength(1);
    const type = await bench.newType({ type: 'object', properties: { s: { type: 'string', pattern: '^(a+)+$' } } });
    const began = performance.now();
    expect(await issuesOf(bench.enqueue(type, { payload: { s: `${'a'.repeat(40)}!` } }))).toEqual([
      expect.stringContaining('it takes too long'),
    ]);
    const many = await bench.newType({ type: 'array', uniqueItems: true });
    const payload = Array.from({ length: 20_000 }, (_, n) => [n]);
    expect(await issuesOf(bench.enqueue(many, { payload }))).toEqual([expect.stringContaining('it takes too long')]);
    const endless = await bench.newType({ $ref: '#' });
    expect(await issuesOf(bench.enqueue(endless))).toEqual([expect.stringContaining('without end')]);
    console.log(`three hostile schemas: ${Math.round(performance.now() - began)} ms`);
  });
});

describe('who follows a task', () => {
  it('gets every event once and in order, from any cursor, and the end', async () => {
    const type = await bench.newType();
    const { task } = await bench.enqueue(type);
    const all = collect(task.id, 0);
    const claimed = await bench.claim(type);
    await heartbeatTask(stack.orchestrator, { ...lease(claimed), progress: 1 });
    await completeTask(stack.orchestrator, lease(claimed));
    expect(await all).toEqual(['QUEUED', 'CLAIMED', 'PROGRESS', 'FINISHED']);
    expect(await collect(task.id, 2)).toEqual(['PROGRESS', 'FINISHED']);
    expect(await collect(task.id, 4)).toEqual([]);
  });

  it('of a task that was requeued goes on past its first end', async () => {
    const type = await bench.newType();
    const { task } = await bench.enqueue(type);
    await failTask(stack.orchestrator, { ...lease(await bench.claim(type)), reason: 'x', retryable: false });
    await requeueTask(stack.orchestrator, { id: task.id }, 'test');
    const all = collect(task.id, 0);
    await completeTask(stack.orchestrator, lease(await bench.claim(type)));
    expect(await all).toEqual(['QUEUED', 'CLAIMED', 'FINISHED', 'REQUEUED', 'CLAIMED', 'FINISHED']);
  });

  async function collect(id: string, after: number): Promise<string[]> {
    const types: string[] = [];
    for await (const { type } of await followTask(stack.orchestrator, { task: await bench.read(id), after }))
      types.push(type);
    return types;
  }
});

it('puts a task back that the queue has lost', async () => {
  const type = await bench.newType();
  const { task } = await bench.enqueue(type);
  await sql`delete from queue_items where id = ${task.id}`.execute(stack.orchestrator.db);
  await sql`update tasks set created_at = now() - interval '1 hour' where id = ${task.id}`.execute(
    stack.orchestrator.db,
  );
  expect(await restoreTasks(stack.orchestrator)).toBe(1);
  expect(await bench.claim(type)).toMatchObject({ id: task.id });
});

it('is reported by a signed callback, once for each end', async () => {
  await using receiver = await openReceiver();
  await using delivery = new CallbackDelivery(stack.orchestrator);
  delivery.open();
  const type = await bench.newType();
  const { task } = await bench.enqueue(type, { callbackUrl: receiver.url, labels: [{ key: 'a', value: 'b' }] });
  await failTask(stack.orchestrator, {
    ...lease(await bench.claim(type)),
    reason: 'no',
    retryable: false,
    result: { n: 1 },
  });
  await waitFor(() => receiver.received.length === 1);
  await requeueTask(stack.orchestrator, { id: task.id }, 'test');
  await completeTask(stack.orchestrator, { ...lease(await bench.claim(type)), result: 'done' });
  await waitFor(() => receiver.received.length === 2);
  const project = await findProject(stack.orchestrator.db, bench.projectId);
  if (!project) throw new Error('no such project');
  const secrets = await readSigningSecrets(stack.orchestrator, {
    projectId: bench.projectId,
    secretVersion: project.secretVersion,
  });
  const [failed, completed] = receiver.received.map(({ body, headers }) => {
    new Webhook(secrets[0] ?? '').verify(body, headers as Record<string, string>);
    return JSON.parse(body);
  });
  const same = { task_id: `task_${task.id.replaceAll('-', '')}`, type, labels: { a: 'b' } };
  const error = { reason: 'no', retryable: false };
  expect(failed).toMatchObject({ ...same, status: 'FAILED', result: { success: false, output: { n: 1 }, error } });
  expect(completed).toMatchObject({
    ...same,
    status: 'COMPLETED',
    result: { success: true, output: 'done', error: null },
  });
  const [kept] = await findTaskDeliveries(stack.orchestrator.db, [task.id]);
  expect(kept).toMatchObject({ kind: 'task.finished', taskId: task.id, buildId: null });
  await redeliverCallback(stack.orchestrator, { taskId: task.id }, 'test');
  await waitFor(() => receiver.received.length === 3);
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
});
