/**
 * Tasks of a run: some enqueue chores, which claimants do over the API, well or badly, and tests, which workers of Slipway run.
 */
import {
  CancelTaskDocument,
  ClaimTaskDocument,
  type ClaimTaskMutation,
  CompleteTaskDocument,
  EnqueueTaskDocument,
  FailTaskDocument,
  HeartbeatTaskDocument,
  ReleaseTaskDocument,
} from '../../src/client/generated.ts';
import { type Recorder, uuidOf } from '../faults/history.ts';
import { answered, type TaskWord } from '../faults/task-history.ts';
import { Asker, pause } from './asker.ts';
import { CONCURRENCY_KEYS } from './bots.ts';
import type { Cluster } from './cluster.ts';
import type { Monitor } from './monitor.ts';
import type { Random } from './random.ts';

const ENQUEUERS = 2;
const CLAIMANTS = 4;
/** Tasks that wait or run. */
const MAX_UNFINISHED = 24;
const CHORE_LEASE_SECONDS = 5;
/** Of a worker that was killed the tests go on after this. */
const TEST_LEASE_SECONDS = 15;
const CLAIM_WAIT_SECONDS = 2;
const RETRY = { maxAttempts: 4, backoffSeconds: 1, maxBackoffSeconds: 2 };

/** What a claimant makes of a chore when it has it for the first time; later it completes it, or fails once more. */
const PLANS = [
  { name: 'complete', weight: 50 },
  { name: 'beat', weight: 15 },
  { name: 'fail', weight: 10 },
  { name: 'give up', weight: 3 },
  { name: 'release', weight: 8 },
  { name: 'die', weight: 6 },
  { name: 'late', weight: 8 },
] as const;
type Plan = (typeof PLANS)[number]['name'];

export interface ChoreOptions {
  readonly cluster: Cluster;
  readonly recorder: Recorder;
  readonly monitor: Monitor;
  readonly random: Random;
  readonly callbackUrls: readonly string[];
}

export interface ChoreCounts {
  enqueued: number;
  cancels: number;
  claims: number;
  /** Words that were refused because their lease was lost. */
  lostLeases: number;
  readonly errors: Record<string, number>;
}

export interface Chores {
  readonly counts: ChoreCounts;
  /** No more tasks; those that are there are still worked on. */
  stopEnqueuing(): Promise<void>;
  /** Nobody claims any more. */
  stop(): Promise<void>;
}

export function startChores(options: ChoreOptions): Chores {
  const counts: ChoreCounts = { enqueued: 0, cancels: 0, claims: 0, lostLeases: 0, errors: {} };
  const enough = new AbortController();
  const over = new AbortController();
  const start = (count: number, name: string, stopping: AbortSignal, work: (member: Member) => Promise<void>) =>
    Array.from({ length: count }, async (_, index) => {
      const random = options.random.fork(`${name} ${index}`);
      await using asker = new Asker({ cluster: options.cluster, random, stopping, errors: counts.errors });
      await work({ ...options, counts, asker, stopping, random, name: `${name}-${index}` });
    });
  const enqueuers = start(ENQUEUERS, 'enqueuer', enough.signal, enqueueTasks);
  const claimants = start(CLAIMANTS, 'claimant', over.signal, claimTasks);
  return {
    counts,
    async stopEnqueuing() {
      enough.abort();
      await Promise.all(enqueuers);
    },
    async stop() {
      enough.abort();
      over.abort();
      await Promise.all([...enqueuers, ...claimants]);
    },
  };
}

interface Member extends ChoreOptions {
  readonly counts: ChoreCounts;
  readonly asker: Asker;
  readonly stopping: AbortSignal;
  readonly name: string;
}

async function enqueueTasks(member: Member): Promise<void> {
  const { monitor, random, stopping, name } = member;
  for (let number = 1; !stopping.aborted; number += 1) {
    if (monitor.unfinishedTasks < MAX_UNFINISHED) await enqueueOne(member, `${name}-${number}`);
    await pause(random.between(500, 2_500), stopping);
  }
}

async function enqueueOne({ cluster, recorder, random, callbackUrls, counts, asker, stopping }: Member, key: string) {
  const { id: projectId, publicId } = random.pick(cluster.projects);
  const asked = { projectId, idempotencyKey: key };
  const work = random.chance(0.12)
    ? {
        type: 'test',
        leaseSeconds: TEST_LEASE_SECONDS,
        payload: { command: ['sh', '-c', 'echo begun; sleep 1; echo ok'] },
      }
    : { type: 'chore', leaseSeconds: CHORE_LEASE_SECONDS, payload: { plan: random.weigh(PLANS).name } };
  const input = {
    ...{ ...work, projectId: publicId, idempotencyKey: key, retry: RETRY, priority: random.pick([0, 0, 0, 5, -5]) },
    concurrencyKey: random.chance(0.25) ? random.pick(CONCURRENCY_KEYS) : null,
    callbackUrl: random.chance(0.6) ? random.pick(callbackUrls) : null,
  };
  recorder.tasks.asked(asked);
  counts.enqueued += 1;
  const times = random.chance(0.1) ? 2 : 1;
  let id: string | null = null;
  for (let time = 0; time < times; time += 1) {
    const answer = await asker.untilAnswered(
      async (client) => (await client.request(EnqueueTaskDocument, { input })).enqueueTask,
    );
    if (answer === null) return;
    if (answer.__typename !== 'EnqueueTaskPayload') {
      recorder.tasks.refused(asked);
      return asker.count(answer.code);
    }
    id = answer.task.id;
    recorder.tasks.accepted.push({ ...asked, taskId: uuidOf('task', id) });
  }
  if (id === null || !random.chance(0.1)) return;
  await pause(random.between(0, 3_000), stopping);
  const cancel = { id, reason: 'the bot has changed its mind' };
  const answer = await asker.untilAnswered(
    async (client) => (await client.request(CancelTaskDocument, { input: cancel })).cancelTask,
  );
  if (answer?.__typename !== 'CancelTaskPayload') return;
  counts.cancels += 1;
  recorder.tasks.cancelled.push(uuidOf('task', id));
}

type Claim = NonNullable<Extract<ClaimTaskMutation['claimTask'], { __typename: 'ClaimTaskPayload' }>['claim']>;

async function claimTasks(member: Member): Promise<void> {
  const { asker, counts, recorder, stopping, random, name } = member;
  const input = { workerName: name, types: ['chore'], labels: [], waitSeconds: CLAIM_WAIT_SECONDS };
  while (!stopping.aborted) {
    // Not asked again: an answer that was lost is a claimant that has died.
    const answer = await asker.untilAnswered(
      async (client) => (await client.request(ClaimTaskDocument, { input })).claimTask,
      0,
    );
    const claim = answer?.__typename === 'ClaimTaskPayload' ? answer.claim : null;
    if (claim) {
      counts.claims += 1;
      const { id, attempt, leaseSeconds } = claim.task;
      const { leaseToken } = claim;
      recorder.tasks.claims.push({ taskId: uuidOf('task', id), leaseToken, attempt, leaseSeconds, at: Date.now() });
      await doChore(member, claim);
    } else if (answer === null) await pause(random.between(200, 800), stopping);
  }
}

async function doChore(member: Member, claim: Claim): Promise<void> {
  const { stopping, random } = member;
  const { attempt, leaseSeconds, payload } = claim.task;
  const { plan: planned } = payload as { plan: Plan };
  const plan = attempt === 1 || (planned === 'fail' && attempt === 2) ? planned : 'complete';
  await pause(random.between(0, 400), stopping);
  if (plan === 'die') return;
  if (plan === 'late') await pause((leaseSeconds + random.between(-1, 4)) * 1_000, stopping);
  if (plan === 'fail' || plan === 'give up')
    return void (await say(member, claim, plan === 'fail' ? 'FAIL' : 'GIVE UP'));
  if (plan === 'release') return void (await say(member, claim, 'RELEASE'));
  for (let beat = 0; plan === 'beat' && beat < 4; beat += 1) {
    await pause((leaseSeconds / 3) * 1_000, stopping);
    if (!(await say(member, claim, 'HEARTBEAT'))) return;
  }
  await say(member, claim, 'COMPLETE');
}

/** Until it is answered, or its lease is long over. False: the lease is lost, or nobody has answered. */
async function say(
  { asker, recorder, counts }: Member,
  { leaseToken, task }: Claim,
  word: TaskWord['word'] | 'GIVE UP',
): Promise<boolean> {
  const result = word === 'COMPLETE' ? { lease: leaseToken } : null;
  const lease = { taskId: task.id, leaseToken };
  const kind = word === 'GIVE UP' ? 'FAIL' : word;
  const said = recorder.tasks.says({ taskId: uuidOf('task', task.id), leaseToken, word: kind, result });
  const failure = { ...lease, reason: 'as asked', retryable: word === 'FAIL' };
  const until = performance.now() + 2 * task.leaseSeconds * 1_000;
  const answer = await asker.untilAnswered<{ readonly __typename: string }>(async (client) => {
    if (kind === 'HEARTBEAT') return (await client.request(HeartbeatTaskDocument, { input: lease })).heartbeatTask;
    if (kind === 'FAIL') return (await client.request(FailTaskDocument, { input: failure })).failTask;
    if (kind === 'RELEASE') return (await client.request(ReleaseTaskDocument, { input: lease })).releaseTask;
    return (await client.request(CompleteTaskDocument, { input: { ...lease, result } })).completeTask;
  }, until);
  if (answer === null) return false;
  const isAcknowledged = answer.__typename.endsWith('Payload');
  answered(said, isAcknowledged);
  if (answer.__typename === 'LeaseLostError') counts.lostLeases += 1;
  else if (!isAcknowledged) asker.count(answer.__typename);
  return isAcknowledged;
}
