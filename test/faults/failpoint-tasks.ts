/** Clients of the work queue as they should be: who wants something done, and who does it, each through all servers. */
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../support/wait-for.ts';
import { ask, type Bot, mustDo } from './failpoint-bot.ts';
import type { Rig } from './failpoint-rig.ts';
import { uuidOf } from './history.ts';
import { answered, type TaskWord } from './task-history.ts';

/** A task that nobody looks after is somebody else's after this time. */
export const TASK_LEASE_SECONDS = 6;
const BEAT_EVERY_MS = 500;
const RULE = {
  leaseSeconds: TASK_LEASE_SECONDS,
  /** An attempt may go wrong by a fault, and by what that makes of others. */
  retry: { maxAttempts: 20, backoffSeconds: 0 },
};
/** The type of tasks whose payload says with which words its attempts end. */
const OWN_TYPE = 'words';

type Ending = 'COMPLETE' | 'FAIL' | 'RELEASE' | 'WAIT FOR CANCEL';

interface Claim {
  /** `task_…` */
  readonly id: string;
  readonly leaseToken: string;
  readonly word: Ending;
}

export interface TaskBot {
  /** `words`: of each attempt, the last one of those that follow, too. Returns its id. */
  enqueue(words: readonly Ending[], task?: object): Promise<string>;
  /** A task that workers of Slipway run. */
  enqueueRun(type: 'test' | 'deploy'): Promise<void>;
  cancel(id: string): Promise<void>;
  /** Claims one and is silent. What it gives says that the task is done, when its lease was lost long ago. */
  claimAndForget(): Promise<() => Promise<void>>;
  /** Claims and works until `stop` aborts. */
  work(stop: AbortSignal): Promise<void>;
}

const REFUSED = '... on UserError { code message } ... on InvalidInputError { issues { path message } }';
const SET_TYPE = `mutation ($input: SetTaskTypeInput!) { answer: setTaskType(input: $input) { __typename ${REFUSED} } }`;
const ENQUEUE = `mutation ($input: EnqueueTaskInput!) {
  answer: enqueueTask(input: $input) { __typename ... on EnqueueTaskPayload { task { id } } ${REFUSED} } }`;
const CANCEL = `mutation ($input: CancelTaskInput!) { answer: cancelTask(input: $input) { __typename ${REFUSED} } }`;
const CLAIM = `mutation ($input: ClaimTaskInput!) {
  answer: claimTask(input: $input) { __typename ... on ClaimTaskPayload { claims { leaseToken task { id attempt leaseSeconds payload } } } ${REFUSED} } }`;
const WORDS: Readonly<Record<TaskWord['word'], string>> = {
  HEARTBEAT: `mutation ($input: HeartbeatTaskInput!) {
    answer: heartbeatTask(input: $input) { __typename ... on HeartbeatTaskPayload { cancelRequested } ${REFUSED} } }`,
  COMPLETE: `mutation ($input: CompleteTaskInput!) { answer: completeTask(input: $input) { __typename ${REFUSED} } }`,
  FAIL: `mutation ($input: FailTaskInput!) { answer: failTask(input: $input) { __typename ${REFUSED} } }`,
  RELEASE: `mutation ($input: ReleaseTaskInput!) { answer: releaseTask(input: $input) { __typename ${REFUSED} } }`,
};

const RUNS = {
  test: {
    command: ['sh', '-c', "printf 'TAP version 13\\n1..1\\n'; sleep 2; echo ok 1 - works"],
    reportFormat: 'TAP',
  },
  deploy: { environment: 'staging' },
} as const;

const DEPLOYED_URL = 'https://app.example.com/';
/** What a project needs so that it can be deployed. */
export const DEPLOY_SETTINGS = { deployCommand: ['sh', '-c', `sleep 2; echo url=${DEPLOYED_URL}`] };

/** `runsOn`: labels of the workers of Slipway that are to run its tasks. */
export async function openTaskBot(rig: Rig, { project, urls }: Bot, runsOn: readonly string[] = []): Promise<TaskBot> {
  const { tasks } = rig.recorder;
  const type = { projectId: project.id, name: OWN_TYPE, schema: {} };
  await mustDo(rig, urls.toReversed(), SET_TYPE, { input: type });
  let count = 0;
  const enqueue = async (task: object) => {
    count += 1;
    const idempotencyKey = `task-${count}`;
    const asked = { projectId: project.uuid, idempotencyKey };
    tasks.asked(asked);
    const input = { projectId: project.id, idempotencyKey, ...RULE, callbackUrl: rig.callbackUrl, ...task };
    const { id } = (await mustDo(rig, urls, ENQUEUE, { input })).task;
    tasks.accepted.push({ ...asked, taskId: uuidOf('task', id) });
    return id;
  };
  const claim = async (workerName: string): Promise<Claim | undefined> => {
    const input = { workerName, types: [OWN_TYPE], waitSeconds: 1 };
    const [claimed] = (await mustDo(rig, urls, CLAIM, { input })).claims;
    if (!claimed) return undefined;
    const { leaseToken, task } = claimed;
    const { attempt, leaseSeconds } = task;
    tasks.claims.push({ taskId: uuidOf('task', task.id), leaseToken, attempt, leaseSeconds, at: Date.now() });
    return { leaseToken, id: task.id, word: task.payload[Math.min(attempt, task.payload.length) - 1] };
  };
  /** The answer that says yes; null when the lease is lost. */
  const say = async ({ id, leaseToken }: Claim, word: TaskWord['word'], more: { result?: unknown } = {}) => {
    const said = tasks.says({ taskId: uuidOf('task', id), leaseToken, word, ...more });
    const reason = word === 'FAIL' ? { reason: 'as asked' } : {};
    const answer = await ask(rig, urls, WORDS[word], { input: { taskId: id, leaseToken, ...reason, ...more } });
    const isYes = answer.__typename.endsWith('Payload');
    if (!isYes && answer.__typename !== 'LeaseLostError') throw new Error(`refused: ${JSON.stringify(answer)}`);
    answered(said, isYes);
    return isYes ? answer : null;
  };
  return {
    enqueue: (words, task = {}) => enqueue({ type: OWN_TYPE, payload: words, ...task }),
    async enqueueRun(type) {
      await enqueue({ type, payload: RUNS[type], runsOn });
    },
    async cancel(id) {
      const { __typename: answer } = await ask(rig, urls, CANCEL, { input: { id } });
      // A refusal says that it is over: it was cancelled, and the answer was lost.
      if (answer === 'CancelTaskPayload') tasks.cancelled.push(uuidOf('task', id));
    },
    async claimAndForget() {
      const claimed = await waitFor(() => claim('silent'), { what: 'a task to claim' });
      return async () => void (await say(claimed, 'COMPLETE', { result: 'late' }));
    },
    async work(stop) {
      while (!stop.aborted) {
        const claimed = await claim('worker');
        if (!claimed) continue;
        const { word, leaseToken } = claimed;
        let held = await say(claimed, 'HEARTBEAT');
        while (word === 'WAIT FOR CANCEL' && held && !held.cancelRequested && !stop.aborted) {
          await delay(BEAT_EVERY_MS);
          held = await say(claimed, 'HEARTBEAT');
        }
        // Also with a lease that is lost: that changes nothing.
        const last = word === 'WAIT FOR CANCEL' ? 'RELEASE' : word;
        await say(claimed, last, last === 'COMPLETE' ? { result: leaseToken } : {});
      }
    },
  };
}

/** The oracle asks whether what was acknowledged has happened; here, whether what has happened was acknowledged. */
export async function judgeAnswers({
  database: { db },
  recorder,
}: Pick<Rig, 'database' | 'recorder'>): Promise<string[]> {
  const rows = await db.selectFrom('tasks').select(['id', 'ended_lease', 'ended_by']).execute();
  return rows.flatMap(({ id, ended_lease: lease, ended_by: word }) => {
    const said = recorder.tasks.words.filter((other) => other.leaseToken === lease && other.word === word);
    return said.some(({ acknowledged }) => !acknowledged) ? [`the ${word} of task ${id} counts, and was refused`] : [];
  });
}

/** What is wrong with tasks that workers of Slipway have run, besides what the oracle says. */
export async function judgeRuns({ db }: Rig['database']): Promise<string[]> {
  const rows = await db.selectFrom('tasks').selectAll().where('type', 'in', ['test', 'deploy']).execute();
  return rows.flatMap(({ id, type, status, result, failure }) => {
    const { report, url } = (result ?? {}) as { report?: { passed?: number }; url?: string };
    const isDone = type === 'test' ? report?.passed === 1 : url === DEPLOYED_URL;
    return status === 'COMPLETED' && isDone
      ? []
      : [`the ${type} ${id} is ${status}: ${JSON.stringify(failure ?? result)}`];
  });
}
