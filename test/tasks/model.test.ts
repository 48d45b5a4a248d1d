/** A model of a task's life against the real SQL: whatever happens in whatever order, tasks do what the model says. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LeaseLostError, TaskStateError } from '../../src/errors.ts';
import { cancelTask, requeueTask } from '../../src/tasks/change-task.ts';
import { rescueTasks } from '../../src/tasks/rescue-tasks.ts';
import { completeTask, failTask, heartbeatTask, releaseTask } from '../../src/tasks/work-on-task.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';
import { TaskBench } from './task-bench.ts';

const MAX_ATTEMPTS = 2;

let stack: TestStack;
let bench: TaskBench;

beforeAll(async () => {
  stack = await openTestStack();
  bench = new TaskBench(stack);
});
afterAll(() => stack[Symbol.asyncDispose]());

interface ModelTask {
  readonly id: string;
  status: 'PENDING' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';
  attemptNo: number;
  failures: number;
  cancelAsked: boolean;
  /** Of every claim; only the last one can hold. */
  readonly tokens: string[];
  holds: boolean;
  /** The last word of the holder, which may be repeated. */
  last: { readonly token: string; readonly word: string } | null;
  ends: number;
}

type Step =
  | { readonly do: 'enqueue' | 'claim' | 'rescue' }
  | {
      readonly do: 'beat' | 'complete' | 'fail' | 'failForGood' | 'release' | 'cancel' | 'requeue' | 'expire';
      readonly task: number;
      /** 0: the newest lease; 1: the one before. */
      readonly lease: number;
    };

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ do: fc.constantFrom('enqueue', 'claim', 'claim', 'rescue') }), weight: 2 },
  {
    arbitrary: fc.record({
      do: fc.constantFrom('beat', 'complete', 'fail', 'failForGood', 'release', 'cancel', 'requeue', 'expire'),
      task: fc.nat(3),
      lease: fc.constantFrom(0, 0, 0, 1),
    }),
    weight: 5,
  },
) as fc.Arbitrary<Step>;

const WORDS = { complete: 'COMPLETE', fail: 'FAIL', failForGood: 'FAIL', release: 'RELEASE' } as const;

/** What the attempt's end makes of the task. */
function afterAttempt(task: ModelTask, how: 'complete' | 'fail' | 'failForGood' | 'release' | 'lost'): void {
  task.holds = false;
  if (how === 'complete') task.status = 'COMPLETED';
  else if (task.cancelAsked) task.status = 'CANCELLED';
  else if (how === 'release') task.status = 'PENDING';
  else {
    task.failures += 1;
    task.status = how === 'failForGood' || task.failures >= MAX_ATTEMPTS ? 'FAILED' : 'PENDING';
  }
  if (task.status !== 'PENDING') task.ends += 1;
}

async function play(type: string, steps: readonly Step[]): Promise<ModelTask[]> {
  const { orchestrator } = stack;
  const tasks: ModelTask[] = [];
  for (const next of steps) {
    if (next.do === 'enqueue') {
      // Without a pause, so that a task that waits can be claimed.
      const retry = { maxAttempts: MAX_ATTEMPTS, backoffSeconds: 0, maxBackoffSeconds: 0 };
      const { task } = await bench.enqueue(type, { retry });
      const fresh = { status: 'PENDING', attemptNo: 0, failures: 0, cancelAsked: false } as const;
      tasks.push({ id: task.id, ...fresh, tokens: [], holds: false, last: null, ends: 0 });
    } else if (next.do === 'claim') {
      const [claimed] = await bench.ask(type);
      const task = tasks.find(({ id }) => id === claimed?.id);
      if (!task || !claimed) expect(tasks.filter(({ status }) => status === 'PENDING')).toEqual([]);
      else {
        expect(task.status).toBe('PENDING');
        Object.assign(task, { status: 'RUNNING', attemptNo: task.attemptNo + 1, holds: true });
        task.tokens.push(claimed.leaseToken);
      }
    } else if (next.do === 'rescue') {
      await rescueTasks(orchestrator);
      for (const task of tasks) {
        if (task.status !== 'RUNNING' || task.holds) continue;
        afterAttempt(task, 'lost');
        task.last = null;
      }
    } else if ('task' in next) {
      const task = tasks[next.task];
      if (task) await change(task, next);
    }
  }
  return tasks;
}

async function change(task: ModelTask, next: Extract<Step, { readonly task: number }>): Promise<void> {
  const { orchestrator } = stack;
  const { id } = task;
  if (next.do === 'expire') {
    if (task.status !== 'RUNNING') return;
    await bench.expire(id);
    task.holds = false;
  } else if (next.do === 'cancel') {
    const legal = task.status === 'PENDING' || task.status === 'RUNNING';
    await outcome(cancelTask(orchestrator, { id }, 'test'), legal ? null : TaskStateError);
    if (!legal) return;
    if (task.status === 'PENDING') {
      task.status = 'CANCELLED';
      task.ends += 1;
      task.last = null;
    }
    task.cancelAsked = true;
  } else if (next.do === 'requeue') {
    const legal = task.status === 'FAILED' || task.status === 'CANCELLED';
    await outcome(requeueTask(orchestrator, { id }, 'test'), legal ? null : TaskStateError);
    if (legal) Object.assign(task, { status: 'PENDING', failures: 0, cancelAsked: false });
  } else {
    const leaseToken = task.tokens.at(-1 - next.lease);
    if (leaseToken === undefined) return;
    const holds = task.holds && next.lease === 0;
    if (next.do === 'beat') {
      await outcome(
        heartbeatTask(orchestrator, { id, leaseToken, progress: task.attemptNo }),
        holds ? null : LeaseLostError,
      );
      return;
    }
    const repeated = task.last?.token === leaseToken && task.last.word === WORDS[next.do];
    const calls = {
      complete: () => completeTask(orchestrator, { id, leaseToken, result: 1 }),
      fail: () => failTask(orchestrator, { id, leaseToken, reason: 'x' }),
      failForGood: () => failTask(orchestrator, { id, leaseToken, reason: 'x', retryable: false }),
      release: () => releaseTask(orchestrator, { id, leaseToken }),
    };
    await outcome(calls[next.do](), holds || repeated ? null : LeaseLostError);
    if (!holds) return;
    afterAttempt(task, next.do);
    task.last = { token: leaseToken, word: WORDS[next.do] };
  }
}

async function outcome(work: Promise<unknown>, expected: (new (...args: never[]) => Error) | null): Promise<void> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (expected === null) expect(error).toBeNull();
  else expect(error).toBeInstanceOf(expected);
}

it('does what the model says, whatever happens in whatever order', async () => {
  let ended = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const type = await bench.newType();
      const tasks = await play(type, [{ do: 'enqueue' }, { do: 'enqueue' }, { do: 'claim' }, ...steps]);
      for (const task of tasks) {
        const { status, attemptNo, failures } = task;
        expect(await bench.read(task.id)).toMatchObject({ status, attemptNo, failures });
        const events = await bench.eventsOf(task.id);
        expect(events.map((event) => Number(event.split(' ')[0]))).toEqual(events.map((_, index) => index + 1));
        expect(events.filter((event) => event.endsWith('FINISHED'))).toHaveLength(task.ends);
        expect(events.filter((event) => event.endsWith('CLAIMED'))).toHaveLength(attemptNo);
        ended += task.ends;
      }
      await checkQueue(stack.orchestrator.db);
    }),
    { numRuns: 40 },
  );
  console.log(`${ended} ends of tasks`);
});
