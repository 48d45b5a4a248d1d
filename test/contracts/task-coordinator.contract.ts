/** What everybody who hands out tasks to a worker must do: beside the database, and over the API of a server. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setCredential } from '../../src/credentials/set-credential.ts';
import { SupersededError } from '../../src/errors.ts';
import { TASKS_TOPIC, type Topic, taskTopic } from '../../src/events/topics.ts';
import type { Project } from '../../src/projects/project.ts';
import { cancelTask } from '../../src/tasks/change-task.ts';
import { findTask } from '../../src/tasks/task.ts';
import type { EnqueueTaskInput } from '../../src/tasks/task-input.ts';
import { evictWorker } from '../../src/workers/administer-worker.ts';
import type { TaskCoordinator, TaskLease } from '../../src/workers/task-coordinator.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { enqueueRun } from '../support/task-runs.ts';
import { waitFor } from '../support/wait-for.ts';

export interface TaskHarness extends AsyncDisposable {
  /** How long a claim of a task holds that asks for less. */
  readonly leaseSeconds: number;
  /** Is it told secrets that its task does not need, so as to hide them? */
  readonly hidesAll: boolean;
  /** One that is registered with these labels. */
  openWorker(labels?: readonly string[]): Promise<{ readonly id: string; readonly tasks: TaskCoordinator }>;
}

const SECRETS = { production: 'production-secret-1', staging: 'staging-secret-22' };
const never = new AbortController().signal;

export function describeTaskCoordinator(name: string, openHarness: (stack: TestStack) => Promise<TaskHarness>): void {
  describe(`task coordinator contract: ${name}`, () => {
    let stack: TestStack;
    let harness: TaskHarness;
    let project: Project;

    beforeAll(async () => {
      stack = await openTestStack();
      harness = await openHarness(stack);
      const gitCredentials = { username: 'bot', password: 'a password of git' };
      project = await stack.createProject({ repositoryUrl: 'https://git.example.com/a.git', gitCredentials });
      const { orchestrator } = stack;
      for (const [environment, value] of Object.entries(SECRETS)) {
        const deploy = { environment, variables: [{ name: 'KEY', value }] };
        const input = { projectId: project.id, name: environment, deploy };
        await orchestrator.db
          .transaction()
          .execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
      }
    });
    afterAll(async () => {
      await harness[Symbol.asyncDispose]();
      await stack[Symbol.asyncDispose]();
    });

    const enqueue = (more: Partial<EnqueueTaskInput> = {}) =>
      enqueueRun(stack, project, { type: 'test', payload: { command: ['true'] }, ...more });
    const find = (id: string) => findTask(stack.orchestrator.db, id);
    async function claimOne(tasks: TaskCoordinator, labels: readonly string[] = []) {
      const [task] = await tasks.claim({ labels, max: 1, held: [] });
      if (!task) throw new Error('nothing was claimed');
      return task;
    }

    test('gives what a worker may run, for long enough', async () => {
      const own = await enqueue({ type: 'deploy', payload: { environment: 'production' }, leaseSeconds: 5 });
      const special = await enqueue({ runsOn: ['rig'] });
      const long = await enqueue({ leaseSeconds: 3_600 });
      const { tasks } = await harness.openWorker();
      const given = await tasks.claim({ labels: [], max: 5, held: [] });
      expect(given.map(({ id }) => id).toSorted()).toEqual([own, long].toSorted());
      const times = Object.fromEntries(given.map(({ id, leaseSeconds }) => [id, leaseSeconds]));
      expect(times).toEqual({ [own]: Math.max(5, harness.leaseSeconds), [long]: 3_600 });
      const { db } = stack.orchestrator;
      for (const task of given) {
        const left = async () => ((await find(task.id))?.leaseUntil?.getTime() ?? 0) - Date.now();
        expect(await left()).toBeGreaterThan(task.leaseSeconds * 900);
        await db
          .updateTable('tasks')
          .set({ lease_until: new Date(Date.now() + 2_000) })
          .where('id', '=', task.id)
          .execute();
        expect(await tasks.heartbeat(task)).toEqual({ letGo: false });
        expect(await left()).toBeGreaterThan(task.leaseSeconds * 900);
        await tasks.release(task);
      }
      await Promise.all([own, long].map((id) => cancelTask(stack.orchestrator, { id, reason: null }, 'test')));
      const { tasks: rig } = await harness.openWorker(['rig']);
      const found = await claimOne(rig, ['rig']);
      expect(found).toMatchObject({ id: special, type: 'test', projectId: project.id, attemptNo: 1 });
      await rig.complete(found, { passed: 2 });
      expect(await find(special)).toMatchObject({ status: 'COMPLETED', failures: 0 });
    });

    test('a last word may be said again, and whoever has no lease says and is told nothing', async () => {
      const { tasks } = await harness.openWorker();
      const id = await enqueue({ retry: { backoffSeconds: 0 } });
      const first = await claimOne(tasks);
      const failure = { reason: 'BROKEN: it is', retryable: true, result: { exitCode: 1 } };
      await tasks.fail(first, failure);
      await tasks.fail(first, failure);
      expect(await find(id)).toMatchObject({ status: 'PENDING', failures: 1 });
      const second = await claimOne(tasks);
      expect(second).toMatchObject({ id, attemptNo: 2 });
      const stranger = { id, leaseToken: first.leaseToken };
      const words: ((lease: TaskLease) => Promise<unknown>)[] = [
        (lease) => tasks.heartbeat(lease),
        (lease) => tasks.complete(lease, 'x'),
        (lease) => tasks.release(lease),
        (lease) => tasks.project(lease, never),
        (lease) => tasks.secrets(lease, never),
      ];
      for (const word of words) await expect(word(stranger)).rejects.toThrow(SupersededError);
      expect(await tasks.project(second, never)).toMatchObject({ id: project.id, createdAt: expect.any(Date) });
      await tasks.complete(second, { passed: 1 });
      await tasks.complete(second, { passed: 1 });
      for (const word of words) await expect(word(second)).rejects.toThrow(SupersededError);
      expect(await find(id)).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
    });

    test('tells the secrets of the task at hand', async () => {
      const { tasks } = await harness.openWorker();
      await enqueue({ type: 'deploy', payload: { environment: 'staging' } });
      const deployment = await claimOne(tasks);
      const opened = await tasks.secrets(deployment, never);
      expect(opened).toMatchObject({
        git: { username: 'bot', password: 'a password of git' },
        deploy: { cluster: null, variables: { KEY: SECRETS.staging } },
      });
      expect(opened.hidden).toEqual(expect.arrayContaining([SECRETS.staging, 'a password of git']));
      expect(opened.hidden.includes(SECRETS.production)).toBe(harness.hidesAll);
      await tasks.complete(deployment, null);
      await enqueue();
      const run = await claimOne(tasks);
      expect(await tasks.secrets(run, never)).toMatchObject({ deploy: null });
      await tasks.complete(run, null);
    });

    test('what a worker was given and never heard of waits again, and has not failed', async () => {
      const { tasks } = await harness.openWorker();
      const [first, second] = [await enqueue(), await enqueue()];
      const held = await claimOne(tasks);
      expect(held.id).toBe(first);
      // Its answer is lost.
      const [lost] = await tasks.claim({ labels: [], max: 1, held: [held] });
      expect(lost?.id).toBe(second);
      const again = await tasks.claim({ labels: [], max: 5, held: [held] });
      expect(again).toMatchObject([{ id: second, attemptNo: 2 }]);
      expect(await find(second)).toMatchObject({ status: 'RUNNING', failures: 0 });
      expect(await find(first)).toMatchObject({ status: 'RUNNING', attemptNo: 1 });
      for (const task of [held, ...again]) await tasks.complete(task, null);
    });

    test('hints at work and at a cancel; who is to let go is told, and its lease is not renewed when it was evicted', async () => {
      using offs = new DisposableStack();
      const hinted = { work: false, told: false };
      const { id: workerId, tasks } = await harness.openWorker();
      offs.defer(tasks.onWork(() => Object.assign(hinted, { work: true })));
      // The question that is open then may not ask for it yet: hints may be lost.
      const hears = (what: keyof typeof hinted, topic: Topic) =>
        waitFor(
          () => {
            stack.orchestrator.hub.announce(topic);
            return hinted[what];
          },
          { what: `the hint ${what}`, everyMs: 100 },
        );
      await hears('work', TASKS_TOPIC);
      const id = await enqueue();
      const task = await claimOne(tasks);
      offs.defer(tasks.onTold(task, () => Object.assign(hinted, { told: true })));
      await hears('told', taskTopic(id));
      await cancelTask(stack.orchestrator, { id, reason: null }, 'test');
      expect(await tasks.heartbeat(task)).toEqual({ letGo: true });
      await tasks.release(task);
      expect(await find(id)).toMatchObject({ status: 'CANCELLED' });
      const other = await enqueue();
      const evicted = await claimOne(tasks);
      await evictWorker(stack.orchestrator, workerId, 'test');
      const before = (await find(other))?.leaseUntil;
      expect(await tasks.heartbeat(evicted)).toEqual({ letGo: true });
      expect((await find(other))?.leaseUntil).toEqual(before);
      await tasks.release(evicted);
      expect(await find(other)).toMatchObject({ status: 'PENDING', failures: 0 });
    });
  });
}
