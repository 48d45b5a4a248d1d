import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  IdempotencyConflictError,
  LeaseLostError,
  NotFoundError,
  ProjectNotReadyError,
  TaskStateError,
} from '../../src/errors.ts';
import { archiveProject } from '../../src/projects/change-project.ts';
import { cancelTask, requeueTask } from '../../src/tasks/change-task.ts';
import { pauseSeconds } from '../../src/tasks/end-task.ts';
import { enqueueTask } from '../../src/tasks/enqueue-task.ts';
import { readTaskDocuments } from '../../src/tasks/list-tasks.ts';
import { rescueTasks } from '../../src/tasks/rescue-tasks.ts';
import { readTaskStats } from '../../src/tasks/task-stats.ts';
import { completeTask, failTask, heartbeatTask, releaseTask } from '../../src/tasks/work-on-task.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';

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

describe('a task', () => {
  it('goes from its queue to a worker and to its end, and its events say so', async () => {
    const type = await bench.newType();
    const { task } = await bench.enqueue(type, { labels: [{ key: 'team', value: 'web' }], priority: 3 });
    expect(task).toMatchObject({ status: 'PENDING', type, labels: { team: 'web' }, priority: 3, attemptNo: 0 });
    const claimed = await bench.claim(type);
    expect(claimed).toMatchObject({
      id: task.id,
      status: 'RUNNING',
      attemptNo: 1,
      claimedBy: 'bot/w',
      payload: { n: 1 },
    });
    expect(await bench.ask(type)).toEqual([]);
    const beat = await heartbeatTask(stack.orchestrator, { ...lease(claimed), progress: { percent: 50 } });
    expect(beat).toMatchObject({ cancelRequested: false, task: { progress: { percent: 50 } } });
    expect(beat.leaseUntil.getTime()).toBeGreaterThan(claimed.leaseUntil.getTime());
    await heartbeatTask(stack.orchestrator, { ...lease(claimed), progress: { percent: 50 } });
    const done = await completeTask(stack.orchestrator, { ...lease(claimed), result: { url: 'x' } });
    expect(done).toMatchObject({ status: 'COMPLETED', leaseUntil: null, failure: null });
    expect(await readTaskDocuments(stack.orchestrator.db, [task.id])).toEqual([
      { id: task.id, payload: { n: 1 }, result: { url: 'x' } },
    ]);
    expect(await bench.eventsOf(task.id)).toEqual(['1 QUEUED', '2 CLAIMED', '3 PROGRESS', '4 FINISHED']);
    expect(await bench.audited(task.id)).toEqual(['enqueueTask']);
  });

  it('is enqueued once per idempotency key, whatever the number of callers', async () => {
    const type = await bench.newType();
    const calls = Array.from({ length: 20 }, () => bench.enqueue(type, {}, { idempotencyKey: 'k' }));
    const all = await Promise.all(calls);
    expect(new Set(all.map(({ task }) => task.id)).size).toBe(1);
    expect(all.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    const other = bench.enqueue(type, { payload: { n: 2 } }, { idempotencyKey: 'k' });
    await expect(other).rejects.toThrow(IdempotencyConflictError);
    expect(await bench.ask(type, { max: 5 })).toHaveLength(1);
  });

  it('refuses what is not valid, and says where', async () => {
    const type = await bench.newType({
      type: 'object',
      required: ['n'],
      properties: { n: { type: 'integer' }, list: { type: 'array', items: { type: 'string' } } },
      additionalProperties: false,
    });
    expect(await issuesOf(bench.enqueue(type, { payload: {} }))).toEqual([
      "input.payload: must have required property 'n'",
    ]);
    expect(await issuesOf(bench.enqueue(type, { payload: { n: 1, list: ['a', 2] } }))).toEqual([
      'input.payload.list.1: must be string',
    ]);
    expect(await issuesOf(bench.enqueue('unknown'))).toEqual([expect.stringContaining('input.type: is no task type')]);
    expect(await issuesOf(bench.enqueue(type, { payload: 'x'.repeat(256 * 1024) }))).toEqual([
      'input.payload: must be at most 262144 bytes of JSON',
    ]);
    expect(await issuesOf(bench.enqueue(type, { payload: { n: 'a\0' } }))).toEqual([
      'input.payload: must not contain NUL',
    ]);
    expect(await issuesOf(bench.enqueue(type, { leaseSeconds: 4, retry: { maxAttempts: 101 } }))).toHaveLength(2);
    expect(await issuesOf(bench.enqueue(type, { callbackUrl: 'file:///etc/passwd', payload: { n: 1 } }))).toHaveLength(
      1,
    );
    expect(await issuesOf(bench.ask('build'))).toEqual([expect.stringContaining('input.types: must not hold build')]);
    const elsewhere = enqueueTask(stack.orchestrator, { projectId: v7(), task: { type, payload: {} } }, 'test');
    await expect(elsewhere).rejects.toThrow(NotFoundError);
    await archiveProject(stack.orchestrator, bench.projectId, 'test');
    await expect(bench.enqueue(type, { payload: { n: 1 } })).rejects.toThrow(ProjectNotReadyError);
  });

  it('waits for its time, for its key and for a worker that has what it needs', async () => {
    const type = await bench.newType();
    const later = await bench.enqueue(type, { runAfter: new Date(Date.now() + 3_600_000) });
    const gpu = await bench.enqueue(type, { runsOn: ['gpu', 'arm'] });
    expect(await bench.ask(type, { labels: ['gpu'], max: 5 })).toEqual([]);
    expect(await bench.ask(type, { labels: ['gpu', 'arm', 'x'], max: 5 })).toMatchObject([{ id: gpu.task.id }]);
    const first = await bench.enqueue(type, { concurrencyKey: 'env' });
    const second = await bench.enqueue(type, { concurrencyKey: 'env' });
    const [held, ...rest] = await bench.ask(type, { max: 5 });
    expect([held?.id, rest]).toEqual([first.task.id, []]);
    await completeTask(stack.orchestrator, lease(held));
    expect(await bench.ask(type, { max: 5 })).toMatchObject([{ id: second.task.id }]);
    expect(await bench.read(later.task.id)).toMatchObject({ status: 'PENDING' });
    expect(await readTaskStats(stack.orchestrator.db, { projectIds: [bench.projectId], type })).toMatchObject({
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
    const type = await bench.newType();
    const { task } = await bench.enqueue(type);
    const claimed = await bench.claim(type);
    await bench.expire(task.id);
    // Nobody has noticed yet, and all the same it is lost.
    for (const say of bench.words(claimed)) await expect(say()).rejects.toThrow(LeaseLostError);
    expect(await rescueTasks(stack.orchestrator)).toBe(1);
    expect(await rescueTasks(stack.orchestrator)).toBe(0);
    expect(await bench.read(task.id)).toMatchObject({ status: 'PENDING', failures: 1, failure: { retryable: true } });
    await bench.dueNow(task.id);
    const again = await bench.claim(type);
    expect(again).toMatchObject({ id: task.id, attemptNo: 2 });
    const before = await bench.read(task.id);
    for (const say of bench.words(claimed)) await expect(say()).rejects.toThrow(LeaseLostError);
    for (const say of bench.words({ id: task.id, leaseToken: v7() }))
      await expect(say()).rejects.toThrow(LeaseLostError);
    expect(await bench.read(task.id)).toEqual(before);
    await completeTask(stack.orchestrator, lease(again));
    for (const say of bench.words(claimed)) await expect(say()).rejects.toThrow(LeaseLostError);
    expect(await issuesOf(completeTask(stack.orchestrator, { id: task.id, leaseToken: 'x' }))).toHaveLength(1);
    await expect(completeTask(stack.orchestrator, { id: v7(), leaseToken: v7() })).rejects.toThrow(NotFoundError);
  });

  it("gives the same answer when its holder's last word is repeated", async () => {
    const type = await bench.newType();
    await bench.enqueue(type);
    const first = await bench.claim(type);
    const released = await releaseTask(stack.orchestrator, lease(first));
    expect(released).toMatchObject({ status: 'PENDING', failures: 0, attemptNo: 1 });
    expect(await releaseTask(stack.orchestrator, lease(first))).toEqual(released);
    const second = await bench.claim(type);
    const say = () => completeTask(stack.orchestrator, { ...lease(second), result: { b: 1, a: [2] } });
    const done = await say();
    expect(await say()).toEqual(done);
    const other = completeTask(stack.orchestrator, { ...lease(second), result: { b: 2 } });
    await expect(other).rejects.toThrow(LeaseLostError);
    await expect(failTask(stack.orchestrator, { ...lease(second), reason: 'x' })).rejects.toThrow(LeaseLostError);
    expect(await bench.eventsOf(first.id)).toEqual(['1 QUEUED', '2 CLAIMED', '3 RELEASED', '4 CLAIMED', '5 FINISHED']);
  });
});

describe('a failure', () => {
  it('is tried again after a pause, until there are no attempts left; requeued, it begins anew', async () => {
    const type = await bench.newType();
    const retry = { maxAttempts: 2, backoffSeconds: 100, maxBackoffSeconds: 1_000 };
    const { task } = await bench.enqueue(type, { retry });
    const fail = async () =>
      failTask(stack.orchestrator, { ...lease(await bench.claim(type)), reason: 'no', result: [1] });
    const waiting = await fail();
    expect(waiting).toMatchObject({ status: 'PENDING', failures: 1, failure: { reason: 'no', retryable: true } });
    expect(await bench.ask(type)).toEqual([]);
    await bench.dueNow(task.id);
    expect(await fail()).toMatchObject({ status: 'FAILED', failures: 2, deadLetteredAt: expect.any(Date) });
    expect(await readTaskDocuments(stack.orchestrator.db, [task.id])).toMatchObject([{ result: [1] }]);
    expect(await readTaskStats(stack.orchestrator.db, { projectIds: null, type })).toMatchObject({ dead: 1 });
    await expect(cancelTask(stack.orchestrator, { id: task.id }, 'test')).rejects.toThrow(TaskStateError);
    const requeued = await requeueTask(stack.orchestrator, { id: task.id }, 'test');
    expect(requeued).toMatchObject({ status: 'PENDING', failures: 0, attemptNo: 2, deadLetteredAt: null });
    await expect(requeueTask(stack.orchestrator, { id: task.id }, 'test')).rejects.toThrow(TaskStateError);
    const claimed = await bench.claim(type);
    expect(claimed.attemptNo).toBe(3);
    await completeTask(stack.orchestrator, lease(claimed));
    expect(await bench.audited(task.id)).toEqual(['enqueueTask', 'requeueTask']);
  });

  it('that is not retryable is the end at once', async () => {
    const type = await bench.newType();
    await bench.enqueue(type);
    const end = { ...lease(await bench.claim(type)), reason: 'bad payload', retryable: false };
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
    const type = await bench.newType();
    const waiting = await bench.enqueue(type, { runAfter: new Date(Date.now() + 3_600_000) });
    const cancel = { id: waiting.task.id, reason: 'no more' };
    expect(await cancelTask(stack.orchestrator, cancel, 'test')).toMatchObject({
      status: 'CANCELLED',
      cancelReason: 'no more',
    });
    expect(await bench.eventsOf(waiting.task.id)).toEqual(['1 QUEUED', '2 CANCEL_REQUESTED', '3 FINISHED']);
    const ends = { release: releaseTask, fail: failTask, expire: null, complete: completeTask } as const;
    for (const [name, end] of Object.entries(ends)) {
      const { task } = await bench.enqueue(type);
      const claimed = await bench.claim(type);
      const asked = await cancelTask(stack.orchestrator, { id: task.id }, 'test');
      expect(asked).toMatchObject({ status: 'RUNNING', cancelRequestedAt: expect.any(Date) });
      await cancelTask(stack.orchestrator, { id: task.id }, 'test');
      expect(await heartbeatTask(stack.orchestrator, lease(claimed))).toMatchObject({ cancelRequested: true });
      if (end)
        await (end as typeof failTask)(stack.orchestrator, {
          ...lease(claimed),
          ...(name === 'fail' && { reason: 'x' }),
        } as never);
      else await bench.expire(task.id).then(() => rescueTasks(stack.orchestrator));
      expect(await bench.read(task.id)).toMatchObject({ status: name === 'complete' ? 'COMPLETED' : 'CANCELLED' });
      expect(await bench.audited(task.id)).toEqual(['enqueueTask', 'cancelTask']);
    }
  });
});
