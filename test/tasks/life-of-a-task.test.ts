/** What becomes of tasks: each word of a worker and of those who wait, against the real queue. */
import { sql } from 'kysely';
import { Webhook } from 'standardwebhooks';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBuild } from '../../src/builds/build.ts';
import { CallbackDelivery } from '../../src/callbacks/deliver-callbacks.ts';
import { findTaskDeliveries } from '../../src/callbacks/delivery.ts';
import { redeliverCallback } from '../../src/callbacks/redeliver-callback.ts';
import { readSigningSecrets } from '../../src/credentials/signing-secrets.ts';
import {
  IdempotencyConflictError,
  InvalidInputError,
  LeaseLostError,
  NotFoundError,
  OverloadedError,
  ProjectNotReadyError,
  TaskStateError,
} from '../../src/errors.ts';
import { archiveProject } from '../../src/projects/change-project.ts';
import { findProject } from '../../src/projects/project.ts';
import { cancelTask, requeueTask } from '../../src/tasks/change-task.ts';
import { pauseSeconds } from '../../src/tasks/end-task.ts';
import { type EnqueueTask, enqueueTask } from '../../src/tasks/enqueue-task.ts';
import { followTask } from '../../src/tasks/follow-task.ts';
import { listTasks, readTaskDocuments } from '../../src/tasks/list-tasks.ts';
import { rescueTasks, restoreTasks } from '../../src/tasks/rescue-tasks.ts';
import { type ClaimedTask, findTask, type Task } from '../../src/tasks/task.ts';
import { TaskDesk } from '../../src/tasks/task-desk.ts';
import { readTaskEvents } from '../../src/tasks/task-events.ts';
import type { EnqueueTaskInput } from '../../src/tasks/task-input.ts';
import { readTaskStats } from '../../src/tasks/task-stats.ts';
import { deleteTaskType, listTaskTypes, setTaskType } from '../../src/tasks/task-type.ts';
import { completeTask, failTask, heartbeatTask, releaseTask } from '../../src/tasks/work-on-task.ts';
import { openReceiver } from '../callbacks/receiver.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let projectId: string;

beforeAll(async () => {
  stack = await openTestStack();
});
afterAll(async () => {
  await checkQueue(stack.orchestrator.db);
  await stack[Symbol.asyncDispose]();
});

/** Each test has a project and a type of its own, so that none claims another's tasks. */
async function newType(schema: Record<string, unknown> = {}): Promise<string> {
  projectId = (await stack.createProject()).id;
  const name = `t${v7().replaceAll('-', '')}`;
  await setTaskType(stack.orchestrator, { projectId, name, schema }, 'test');
  return name;
}

const enqueue = (type: string, task: Partial<EnqueueTaskInput> = {}, rest: Partial<EnqueueTask> = {}) =>
  enqueueTask(stack.orchestrator, { projectId, task: { type, payload: { n: 1 }, ...task }, ...rest }, 'token_a');

const ask = (type: string, rest: object = {}) =>
  stack.orchestrator.desk.claim({ claimant: 'bot', projectIds: null, workerName: 'w', types: [type], ...rest });

async function claim(type: string, rest: object = {}): Promise<ClaimedTask> {
  const [task] = await ask(type, rest);
  if (!task) throw new Error('nothing was claimed');
  return task;
}

const read = async (id: string): Promise<Task> => {
  const task = await findTask(stack.orchestrator.db, id);
  if (!task) throw new Error('no such task');
  return task;
};

const eventsOf = async (id: string) =>
  (await readTaskEvents(stack.orchestrator.db, { taskId: id, isBuild: false, after: 0, limit: 100 })).map(
    ({ seq, type }) => `${seq} ${type}`,
  );

const expire = (id: string) =>
  sql`update tasks set lease_until = now() - interval '1 s' where id = ${id}`.execute(stack.orchestrator.db);

const issuesOf = async (work: Promise<unknown>) => {
  const error = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof InvalidInputError)) throw new Error(`not refused: ${String(error)}`);
  return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
};

describe('a task', () => {
  it('goes from its queue to a worker and to its end, and its events say so', async () => {
    const type = await newType();
    const { task } = await enqueue(type, { labels: [{ key: 'team', value: 'web' }], priority: 3 });
    expect(task).toMatchObject({ status: 'PENDING', type, labels: { team: 'web' }, priority: 3, attemptNo: 0 });
    const claimed = await claim(type);
    expect(claimed).toMatchObject({
      id: task.id,
      status: 'RUNNING',
      attemptNo: 1,
      claimedBy: 'bot/w',
      payload: { n: 1 },
    });
    expect(await ask(type)).toEqual([]);
    const beat = await heartbeatTask(stack.orchestrator, { ...lease(claimed), progress: { percent: 50 } });
    expect(beat).toMatchObject({ cancelRequested: false, task: { progress: { percent: 50 } } });
    expect(beat.leaseUntil.getTime()).toBeGreaterThan(claimed.leaseUntil.getTime());
    await heartbeatTask(stack.orchestrator, { ...lease(claimed), progress: { percent: 50 } });
    const done = await completeTask(stack.orchestrator, { ...lease(claimed), result: { url: 'x' } });
    expect(done).toMatchObject({ status: 'COMPLETED', leaseUntil: null, failure: null });
    expect(await readTaskDocuments(stack.orchestrator.db, [task.id])).toEqual([
      { id: task.id, payload: { n: 1 }, result: { url: 'x' } },
    ]);
    expect(await eventsOf(task.id)).toEqual(['1 QUEUED', '2 CLAIMED', '3 PROGRESS', '4 FINISHED']);
    expect(await audited(task.id)).toEqual(['enqueueTask']);
  });

  it('is enqueued once per idempotency key, whatever the number of callers', async () => {
    const type = await newType();
    const calls = Array.from({ length: 20 }, () => enqueue(type, {}, { idempotencyKey: 'k' }));
    const all = await Promise.all(calls);
    expect(new Set(all.map(({ task }) => task.id)).size).toBe(1);
    expect(all.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    const other = enqueue(type, { payload: { n: 2 } }, { idempotencyKey: 'k' });
    await expect(other).rejects.toThrow(IdempotencyConflictError);
    expect(await ask(type, { max: 5 })).toHaveLength(1);
  });

  it('refuses what is not valid, and says where', async () => {
    const type = await newType({
      type: 'object',
      required: ['n'],
      properties: { n: { type: 'integer' }, list: { type: 'array', items: { type: 'string' } } },
      additionalProperties: false,
    });
    expect(await issuesOf(enqueue(type, { payload: {} }))).toEqual(["input.payload: must have required property 'n'"]);
    expect(await issuesOf(enqueue(type, { payload: { n: 1, list: ['a', 2] } }))).toEqual([
      'input.payload.list.1: must be string',
    ]);
    expect(await issuesOf(enqueue('unknown'))).toEqual([expect.stringContaining('input.type: is no task type')]);
    expect(await issuesOf(enqueue(type, { payload: 'x'.repeat(256 * 1024) }))).toEqual([
      'input.payload: must be at most 262144 bytes of JSON',
    ]);
    expect(await issuesOf(enqueue(type, { payload: { n: 'a\0' } }))).toEqual(['input.payload: must not contain NUL']);
    expect(await issuesOf(enqueue(type, { leaseSeconds: 4, retry: { maxAttempts: 101 } }))).toHaveLength(2);
    expect(await issuesOf(enqueue(type, { callbackUrl: 'file:///etc/passwd', payload: { n: 1 } }))).toHaveLength(1);
    expect(await issuesOf(ask('build'))).toEqual([expect.stringContaining('input.types: must not hold build')]);
    const elsewhere = enqueueTask(stack.orchestrator, { projectId: v7(), task: { type, payload: {} } }, 'test');
    await expect(elsewhere).rejects.toThrow(NotFoundError);
    await archiveProject(stack.orchestrator, projectId, 'test');
    await expect(enqueue(type, { payload: { n: 1 } })).rejects.toThrow(ProjectNotReadyError);
  });

  it('waits for its time, for its key and for a worker that has what it needs', async () => {
    const type = await newType();
    const later = await enqueue(type, { runAfter: new Date(Date.now() + 3_600_000) });
    const gpu = await enqueue(type, { runsOn: ['gpu', 'arm'] });
    expect(await ask(type, { labels: ['gpu'], max: 5 })).toEqual([]);
    expect(await ask(type, { labels: ['gpu', 'arm', 'x'], max: 5 })).toMatchObject([{ id: gpu.task.id }]);
    const first = await enqueue(type, { concurrencyKey: 'env' });
    const second = await enqueue(type, { concurrencyKey: 'env' });
    const [held, ...rest] = await ask(type, { max: 5 });
    expect([held?.id, rest]).toEqual([first.task.id, []]);
    await completeTask(stack.orchestrator, lease(held));
    expect(await ask(type, { max: 5 })).toMatchObject([{ id: second.task.id }]);
    expect(await read(later.task.id)).toMatchObject({ status: 'PENDING' });
    expect(await readTaskStats(stack.orchestrator.db, { projectIds: [projectId], type })).toMatchObject({
      waiting: 0,
      delayed: 1,
      running: 2,
      dead: 0,
      oldestReadyAt: null,
      throughputPerMinute: 0.1,
      waitP50Ms: expect.any(Number),
    });
  });
});

describe('a lease', () => {
  it('that has ended changes nothing, whoever names it', async () => {
    const type = await newType();
    const { task } = await enqueue(type);
    const claimed = await claim(type);
    await expire(task.id);
    // Nobody has noticed yet, and all the same it is lost.
    for (const say of words(claimed)) await expect(say()).rejects.toThrow(LeaseLostError);
    expect(await rescueTasks(stack.orchestrator)).toBe(1);
    expect(await rescueTasks(stack.orchestrator)).toBe(0);
    expect(await read(task.id)).toMatchObject({ status: 'PENDING', failures: 1, failure: { retryable: true } });
    await dueNow(task.id);
    const again = await claim(type);
    expect(again).toMatchObject({ id: task.id, attemptNo: 2 });
    const before = await read(task.id);
    for (const say of words(claimed)) await expect(say()).rejects.toThrow(LeaseLostError);
    for (const say of words({ id: task.id, leaseToken: v7() })) await expect(say()).rejects.toThrow(LeaseLostError);
    expect(await read(task.id)).toEqual(before);
    await completeTask(stack.orchestrator, lease(again));
    for (const say of words(claimed)) await expect(say()).rejects.toThrow(LeaseLostError);
    expect(await issuesOf(completeTask(stack.orchestrator, { id: task.id, leaseToken: 'x' }))).toHaveLength(1);
    await expect(completeTask(stack.orchestrator, { id: v7(), leaseToken: v7() })).rejects.toThrow(NotFoundError);
  });

  it("gives the same answer when its holder's last word is repeated", async () => {
    const type = await newType();
    await enqueue(type);
    const first = await claim(type);
    const released = await releaseTask(stack.orchestrator, lease(first));
    expect(released).toMatchObject({ status: 'PENDING', failures: 0, attemptNo: 1 });
    expect(await releaseTask(stack.orchestrator, lease(first))).toEqual(released);
    const second = await claim(type);
    const say = () => completeTask(stack.orchestrator, { ...lease(second), result: { b: 1, a: [2] } });
    const done = await say();
    expect(await say()).toEqual(done);
    const other = completeTask(stack.orchestrator, { ...lease(second), result: { b: 2 } });
    await expect(other).rejects.toThrow(LeaseLostError);
    await expect(failTask(stack.orchestrator, { ...lease(second), reason: 'x' })).rejects.toThrow(LeaseLostError);
    expect(await eventsOf(first.id)).toEqual(['1 QUEUED', '2 CLAIMED', '3 RELEASED', '4 CLAIMED', '5 FINISHED']);
  });
});

describe('a failure', () => {
  it('is tried again after a pause, until there are no attempts left; requeued, it begins anew', async () => {
    const type = await newType();
    const retry = { maxAttempts: 2, backoffSeconds: 100, maxBackoffSeconds: 1_000 };
    const { task } = await enqueue(type, { retry });
    const fail = async () => failTask(stack.orchestrator, { ...lease(await claim(type)), reason: 'no', result: [1] });
    const waiting = await fail();
    expect(waiting).toMatchObject({ status: 'PENDING', failures: 1, failure: { reason: 'no', retryable: true } });
    expect(await ask(type)).toEqual([]);
    await dueNow(task.id);
    expect(await fail()).toMatchObject({ status: 'FAILED', failures: 2, deadLetteredAt: expect.any(Date) });
    expect(await readTaskDocuments(stack.orchestrator.db, [task.id])).toMatchObject([{ result: [1] }]);
    expect(await readTaskStats(stack.orchestrator.db, { projectIds: null, type })).toMatchObject({ dead: 1 });
    await expect(cancelTask(stack.orchestrator, { id: task.id }, 'test')).rejects.toThrow(TaskStateError);
    const requeued = await requeueTask(stack.orchestrator, { id: task.id }, 'test');
    expect(requeued).toMatchObject({ status: 'PENDING', failures: 0, attemptNo: 2, deadLetteredAt: null });
    await expect(requeueTask(stack.orchestrator, { id: task.id }, 'test')).rejects.toThrow(TaskStateError);
    const claimed = await claim(type);
    expect(claimed.attemptNo).toBe(3);
    await completeTask(stack.orchestrator, lease(claimed));
    expect(await audited(task.id)).toEqual(['enqueueTask', 'requeueTask']);
  });

  it('that is not retryable is the end at once', async () => {
    const type = await newType();
    await enqueue(type);
    const end = { ...lease(await claim(type)), reason: 'bad payload', retryable: false };
    const failed = await failTask(stack.orchestrator, end);
    expect(failed).toMatchObject({ status: 'FAILED', failures: 1 });
    expect(await failTask(stack.orchestrator, end)).toEqual(failed);
  });

  it('waits twice as long each time, up to the maximum, and never quite the same', () => {
    const rule = { backoff_seconds: 10, max_backoff_seconds: 60 };
    const pauses = [1, 2, 3, 4, 100].map((failures) => pauseSeconds(rule, failures, () => 0.5));
    expect(pauses).toEqual([10, 20, 40, 60, 60]);
    expect([0, 0.999].map((random) => Math.round(pauseSeconds(rule, 1, () => random)))).toEqual([8, 12]);
  });
});

describe('to cancel', () => {
  it('a waiting task is its end; a running one is told, and ends with its worker', async () => {
    const type = await newType();
    const waiting = await enqueue(type, { runAfter: new Date(Date.now() + 3_600_000) });
    const cancel = { id: waiting.task.id, reason: 'no more' };
    expect(await cancelTask(stack.orchestrator, cancel, 'test')).toMatchObject({
      status: 'CANCELLED',
      cancelReason: 'no more',
    });
    expect(await eventsOf(waiting.task.id)).toEqual(['1 QUEUED', '2 CANCEL_REQUESTED', '3 FINISHED']);
    const ends = { release: releaseTask, fail: failTask, expire: null, complete: completeTask } as const;
    for (const [name, end] of Object.entries(ends)) {
      const { task } = await enqueue(type);
      const claimed = await claim(type);
      const asked = await cancelTask(stack.orchestrator, { id: task.id }, 'test');
      expect(asked).toMatchObject({ status: 'RUNNING', cancelRequestedAt: expect.any(Date) });
      await cancelTask(stack.orchestrator, { id: task.id }, 'test');
      expect(await heartbeatTask(stack.orchestrator, lease(claimed))).toMatchObject({ cancelRequested: true });
      if (end)
        await (end as typeof failTask)(stack.orchestrator, {
          ...lease(claimed),
          ...(name === 'fail' && { reason: 'x' }),
        } as never);
      else await expire(task.id).then(() => rescueTasks(stack.orchestrator));
      expect(await read(task.id)).toMatchObject({ status: name === 'complete' ? 'COMPLETED' : 'CANCELLED' });
      expect(await audited(task.id)).toEqual(['enqueueTask', 'cancelTask']);
    }
  });
});

describe('the desk', () => {
  it('gives each task to one of those that wait, as soon as it is there', async () => {
    const type = await newType();
    const workers = Array.from({ length: 30 }, (_, n) => ask(type, { waitSeconds: 30, workerName: `w${n}` }));
    await waitFor(() => stack.orchestrator.desk.waiting === 30);
    const tasks = await Promise.all(Array.from({ length: 30 }, () => enqueue(type)));
    const given = (await Promise.all(workers)).map((mine, n) => {
      expect(mine).toMatchObject([{ claimedBy: `bot/w${n}` }]);
      return mine[0]?.id;
    });
    expect(new Set(given)).toEqual(new Set(tasks.map(({ task }) => task.id)));
    expect(stack.orchestrator.desk.waiting).toBe(0);
  });

  it('answers with nothing when the time is over, or nobody waits any more: no task is lost', async () => {
    const type = await newType();
    expect(await ask(type, { waitSeconds: 0.05 })).toEqual([]);
    const gone = new AbortController();
    const asked = ask(type, { waitSeconds: 30, signal: gone.signal });
    await waitFor(() => stack.orchestrator.desk.waiting === 1);
    const other = enqueue(type);
    gone.abort();
    const [mine] = await asked;
    const { task } = await other;
    const found = mine ?? (await claim(type, { waitSeconds: 30 }));
    expect(found.id).toBe(task.id);
    expect(await ask(type, { signal: gone.signal })).toEqual([]);
  });

  it('lets no more than a thousand wait, and ends all of them at once', async () => {
    const type = await newType();
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
    const type = await newType();
    const { task } = await enqueue(type);
    expect(await ask(type, { projectIds: [v7()] })).toEqual([]);
    expect(await ask(type, { projectIds: [] })).toEqual([]);
    expect(await ask(type, { projectIds: [projectId] })).toMatchObject([{ id: task.id }]);
  });
});

describe('a build task', () => {
  it('is a build: enqueued as one, read from it, and changed by nobody who has only the task', async () => {
    projectId = (await stack.createProject()).id;
    const payload = { prompt: 'x', provider: 'scripted' };
    const labels = [{ key: 'team', value: 'web' }];
    const { task, deduplicated } = await enqueue('build', { payload, labels }, { idempotencyKey: 'k' });
    expect([task, deduplicated]).toMatchObject([{ type: 'build', status: 'PENDING', labels: { team: 'web' } }, false]);
    expect(await findBuild(stack.orchestrator.db, task.id)).toMatchObject({ spec: { prompt: 'x' } });
    expect(await enqueue('build', { payload, labels }, { idempotencyKey: 'k' })).toMatchObject({ deduplicated: true });
    expect(task.needs).toEqual(['provider:scripted']);
    const refused = await issuesOf(enqueue('build', { payload: {} }));
    expect(refused).toEqual([expect.stringContaining('input.payload.prompt')]);
    expect(await issuesOf(enqueue('build', { payload, leaseSeconds: 60 }))).toHaveLength(1);
    await claimByHand(stack, await registerByHand(stack));
    expect(await read(task.id)).toMatchObject({ status: 'RUNNING', attemptNo: 1 });
    for (const say of words({ id: task.id, leaseToken: v7() })) await expect(say()).rejects.toThrow(TaskStateError);
    const found = await readTaskEvents(stack.orchestrator.db, { taskId: task.id, isBuild: true, after: 0, limit: 9 });
    expect(found.map(({ type }) => type)).toEqual(['QUEUED', 'CLAIMED']);
    expect(await cancelTask(stack.orchestrator, { id: task.id }, 'test')).toMatchObject({
      cancelRequestedAt: expect.any(Date),
    });
    const page = { direction: 'desc', after: null, before: null, limit: 5, fromEnd: false } as const;
    const list = (filter: object) => listTasks(stack.orchestrator.db, { projectIds: [projectId], ...filter }, page);
    expect(await list({ labels, types: ['build'], statuses: ['RUNNING'] })).toMatchObject([{ id: task.id }]);
    expect(await list({ builds: false })).toEqual([]);
  });
});

describe('types', () => {
  it('are those of Slipway, of all projects, and of one, which goes first', async () => {
    const name = await newType({ type: 'object' });
    await setTaskType(stack.orchestrator, { projectId: null, name, schema: { type: 'array' } }, 'test');
    expect(await issuesOf(enqueue(name, { payload: [] }))).toEqual(['input.payload: must be object']);
    await deleteTaskType(stack.orchestrator, { projectId, name }, 'test');
    await enqueue(name, { payload: [] });
    const gone = deleteTaskType(stack.orchestrator, { projectId, name }, 'test');
    await expect(gone).rejects.toThrow(NotFoundError);
    const names = (await listTaskTypes(stack.orchestrator.db, { projectIds: [projectId] })).map((type) => type.name);
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
    const type = await newType({ type: 'object', properties: { s: { type: 'string', pattern: '^(a+)+$' } } });
    const began = performance.now();
    expect(await issuesOf(enqueue(type, { payload: { s: `${'a'.repeat(40)}!` } }))).toEqual([
      expect.stringContaining('it takes too long'),
    ]);
    const many = await newType({ type: 'array', uniqueItems: true });
    const payload = Array.from({ length: 20_000 }, (_, n) => [n]);
    expect(await issuesOf(enqueue(many, { payload }))).toEqual([expect.stringContaining('it takes too long')]);
    const endless = await newType({ $ref: '#' });
    expect(await issuesOf(enqueue(endless))).toEqual([expect.stringContaining('without end')]);
    console.log(`three hostile schemas: ${Math.round(performance.now() - began)} ms`);
  });
});

describe('who follows a task', () => {
  it('gets every event once and in order, from any cursor, and the end', async () => {
    const type = await newType();
    const { task } = await enqueue(type);
    const all = collect(task.id, 0);
    const claimed = await claim(type);
    await heartbeatTask(stack.orchestrator, { ...lease(claimed), progress: 1 });
    await completeTask(stack.orchestrator, lease(claimed));
    expect(await all).toEqual(['QUEUED', 'CLAIMED', 'PROGRESS', 'FINISHED']);
    expect(await collect(task.id, 2)).toEqual(['PROGRESS', 'FINISHED']);
    expect(await collect(task.id, 4)).toEqual([]);
  });

  it('of a task that was requeued goes on past its first end', async () => {
    const type = await newType();
    const { task } = await enqueue(type);
    await failTask(stack.orchestrator, { ...lease(await claim(type)), reason: 'x', retryable: false });
    await requeueTask(stack.orchestrator, { id: task.id }, 'test');
    const all = collect(task.id, 0);
    await completeTask(stack.orchestrator, lease(await claim(type)));
    expect(await all).toEqual(['QUEUED', 'CLAIMED', 'FINISHED', 'REQUEUED', 'CLAIMED', 'FINISHED']);
  });

  async function collect(id: string, after: number): Promise<string[]> {
    const types: string[] = [];
    for await (const { type } of followTask(stack.orchestrator, { task: await read(id), after })) types.push(type);
    return types;
  }
});

it('puts a task back that the queue has lost', async () => {
  const type = await newType();
  const { task } = await enqueue(type);
  await sql`delete from queue_items where id = ${task.id}`.execute(stack.orchestrator.db);
  await sql`update tasks set created_at = now() - interval '1 hour' where id = ${task.id}`.execute(
    stack.orchestrator.db,
  );
  expect(await restoreTasks(stack.orchestrator)).toBe(1);
  expect(await claim(type)).toMatchObject({ id: task.id });
});

function lease(task: { readonly id: string; readonly leaseToken: string } | undefined) {
  if (!task) throw new Error('nothing was claimed');
  return { id: task.id, leaseToken: task.leaseToken };
}

/** All that a worker can say. */
function words(task: { readonly id: string; readonly leaseToken: string }): (() => Promise<unknown>)[] {
  const { orchestrator } = stack;
  return [
    () => heartbeatTask(orchestrator, { ...lease(task), progress: 'late' }),
    () => completeTask(orchestrator, lease(task)),
    () => failTask(orchestrator, { ...lease(task), reason: 'late' }),
    () => releaseTask(orchestrator, lease(task)),
  ];
}

async function dueNow(id: string): Promise<void> {
  await sql`update queue_items set ready_at = now() where id = ${id}`.execute(stack.orchestrator.db);
}

async function audited(id: string): Promise<string[]> {
  const rows = await stack.orchestrator.db
    .selectFrom('audit_log')
    .select('action')
    .where('subject_id', '=', id)
    .orderBy('id')
    .execute();
  return rows.map(({ action }) => action);
}

it('is reported by a signed callback, once for each end', async () => {
  await using receiver = await openReceiver();
  await using delivery = new CallbackDelivery(stack.orchestrator);
  delivery.open();
  const type = await newType();
  const { task } = await enqueue(type, { callbackUrl: receiver.url, labels: [{ key: 'a', value: 'b' }] });
  await failTask(stack.orchestrator, { ...lease(await claim(type)), reason: 'no', retryable: false, result: { n: 1 } });
  await waitFor(() => receiver.received.length === 1);
  await requeueTask(stack.orchestrator, { id: task.id }, 'test');
  await completeTask(stack.orchestrator, { ...lease(await claim(type)), result: 'done' });
  await waitFor(() => receiver.received.length === 2);
  const project = await findProject(stack.orchestrator.db, projectId);
  if (!project) throw new Error('no such project');
  const secrets = await readSigningSecrets(stack.orchestrator, { projectId, secretVersion: project.secretVersion });
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
