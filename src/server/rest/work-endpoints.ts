/** Tasks over REST: the use cases of `src/tasks`, for whoever enqueues and for workers that reach only the API. */
import { z } from '@hono/zod-openapi';
import { requireProjectId, visibleProjectIds } from '../../../schema/ids.ts';
import { MUTATION_COST, OPERATION_COST } from '../../../schema/limits.ts';
import { seesProject } from '../../auth/viewer.ts';
import { NotFoundError } from '../../errors.ts';
import { eventsTopic, taskTopic } from '../../events/topics.ts';
import { fromPublicId } from '../../std/public-id.ts';
import { enqueueTask } from '../../tasks/enqueue-task.ts';
import { readTaskDocuments } from '../../tasks/list-tasks.ts';
import { findTask, isTaskFinished, type Task } from '../../tasks/task.ts';
import {
  type ClaimTasksInput,
  type CompleteTaskInput,
  claimTasksInput,
  completeTaskInput,
  type EnqueueTaskInput,
  enqueueTaskInput,
  type FailTaskInput,
  failTaskInput,
  type HeartbeatTaskInput,
  heartbeatTaskInput,
  MAX_CLAIMED,
  type ReleaseTaskInput,
  releaseTaskInput,
} from '../../tasks/task-input.ts';
import { readTaskStats } from '../../tasks/task-stats.ts';
import { completeTask, failTask, heartbeatTask, releaseTask } from '../../tasks/work-on-task.ts';
import type { Call, Json, Reply, UseCaseRoute } from './endpoint.ts';
import { KEY_HEADER, withKey } from './idempotency-key.ts';
import { dateTime, listOf, waitSeconds, wholeNumber } from './parameters.ts';
import {
  claimedTaskAnswer,
  taskAnswer,
  taskStatsAnswer,
  toClaimedTaskAnswer,
  toTaskAnswer,
  toTaskStatsAnswer,
} from './task-answer.ts';

/** About what the same costs over GraphQL: the fields of a task. */
const TASK_FIELDS = 30;
const READ_COST = OPERATION_COST + TASK_FIELDS;
const WRITE_COST = READ_COST + MUTATION_COST;

const LEASE_EXAMPLE = { leaseToken: '0199f3a0-0000-7000-8000-000000000000' };
const oneTask = z.strictObject({ task: taskAnswer });
const claimed = z.strictObject({
  tasks: z
    .array(claimedTaskAnswer)
    .describe("They are this worker's now; none came within the time when there is none."),
});

const claimShape = claimTasksInput.shape;

export const WORK_ENDPOINTS: readonly UseCaseRoute[] = [
  {
    method: 'post',
    path: '/work/enqueue',
    tag: 'work',
    name: 'enqueueTask',
    summary: 'Put a task into the queue',
    description: 'A task of type `build` is a build; its payload is the spec.',
    scopes: ['tasks:write'],
    cost: WRITE_COST,
    headers: KEY_HEADER,
    body: {
      // JSON has no dates.
      schema: z.strictObject({
        projectId: z.string().max(100),
        ...enqueueTaskInput.extend({ runAfter: dateTime.nullish() }).shape,
        idempotencyKey: z.string().max(255).nullish(),
      }),
      example: {
        projectId: 'project_0199f3a0000070008000000000000000',
        type: 'flash',
        payload: { image: 'v7' },
        runsOn: ['rig:1'],
      },
    },
    answer: oneTask.extend({ deduplicated: z.boolean().describe('It was there before: same key, same input.') }),
    statuses: { 201: 'Accepted: durable, and in the queue.', 200: 'It was there before: same key, same input.' },
    refusals: [404, 409, 422],
    perform: enqueue,
  },
  {
    method: 'post',
    path: '/work/dequeue',
    tag: 'work',
    name: 'claimTasks',
    summary: 'Claim tasks, or wait for some',
    description: 'With waitSeconds the answer waits until there is one that this worker can do.',
    scopes: ['work'],
    cost: WRITE_COST,
    body: {
      schema: claimTasksInput,
      example: { workerName: 'rig-1', types: ['flash'], labels: ['rig:1'], waitSeconds: 30 },
    },
    answer: claimed,
    statuses: { 200: 'The tasks, or none.' },
    perform: (call) => dequeue(call, call.body as unknown as ClaimTasksInput),
  },
  {
    method: 'get',
    path: '/work/dequeue',
    tag: 'work',
    name: 'claimTasksByGet',
    summary: 'Claim tasks, or wait for some',
    description: 'For callers that cannot POST. It changes the queue: nothing on the way may repeat it.',
    scopes: ['work'],
    cost: WRITE_COST,
    successor: '/work/dequeue',
    changes: true,
    query: z.strictObject({
      workerName: claimShape.workerName.describe('Names the worker among those of its token.'),
      types: listOf(z.string().max(63)).describe('Which types; at least one.'),
      labels: listOf(z.string().max(128)).describe('What the worker has.'),
      waitSeconds,
      max: wholeNumber(1, MAX_CLAIMED).describe(`Tasks at most: 1 to ${MAX_CLAIMED}, by default 1.`),
    }),
    answer: claimed,
    statuses: { 200: 'The tasks, or none.' },
    perform: (call) => dequeue(call, { types: [], ...call.query } as unknown as ClaimTasksInput),
  },
  {
    method: 'post',
    path: '/work/{id}/heartbeat',
    tag: 'work',
    name: 'heartbeatTask',
    summary: 'Say that the worker is alive, and how far it is',
    scopes: ['work'],
    cost: WRITE_COST,
    body: { schema: heartbeatTaskInput, example: { ...LEASE_EXAMPLE, progress: { percent: 40 } } },
    answer: oneTask.extend({
      leaseUntil: dateTime.describe('Until then the next one has to arrive.'),
      cancelRequested: z.boolean().describe('Stop, then release or fail the task.'),
    }),
    statuses: { 200: 'The lease is longer.' },
    refusals: [409],
    async perform(call) {
      const id = await requireTaskId(call);
      const body = call.body as unknown as HeartbeatTaskInput;
      const { task, leaseUntil, cancelRequested } = await heartbeatTask(call.deps.orchestrator, { ...body, id });
      const lease = { leaseUntil: leaseUntil.toISOString(), cancelRequested };
      return { status: 200, body: { task: toTaskAnswer(task), ...lease } };
    },
  },
  {
    ...word('complete', 'The work is done'),
    name: 'completeTask',
    body: { schema: completeTaskInput, example: { ...LEASE_EXAMPLE, result: { flashed: true } } },
    perform: (call) =>
      say(call, (id) => completeTask(call.deps.orchestrator, { ...(call.body as unknown as CompleteTaskInput), id })),
  },
  {
    ...word('fail', 'The attempt has failed'),
    name: 'failTask',
    description: 'Another attempt follows, unless retryable is false or it was the last one.',
    body: { schema: failTaskInput, example: { ...LEASE_EXAMPLE, reason: 'The rig does not answer.', retryable: true } },
    perform: (call) =>
      say(call, (id) => failTask(call.deps.orchestrator, { ...(call.body as unknown as FailTaskInput), id })),
  },
  {
    ...word('release', 'Give the task back'),
    name: 'releaseTask',
    description: 'It waits again at once, and the attempt does not count as failed.',
    body: { schema: releaseTaskInput, example: LEASE_EXAMPLE },
    perform: (call) =>
      say(call, (id) => releaseTask(call.deps.orchestrator, { ...(call.body as unknown as ReleaseTaskInput), id })),
  },
  {
    method: 'get',
    path: '/work/{id}/status',
    tag: 'work',
    name: 'getTask',
    summary: 'A task, and its result',
    description: 'With waitSeconds the answer waits until the task has ended, or the time is over.',
    scopes: ['tasks:read'],
    cost: READ_COST,
    query: z.strictObject({ waitSeconds }),
    answer: oneTask.extend({ result: z.unknown().describe('What its worker gave; null until then.') }),
    statuses: { 200: 'The task.' },
    perform: status,
  },
  {
    method: 'get',
    path: '/work/stats',
    tag: 'work',
    name: 'taskStats',
    summary: 'How the tasks are doing that are no builds',
    scopes: ['tasks:read'],
    cost: READ_COST,
    query: z.strictObject({
      projectId: z.string().max(100).optional().describe('Of this project.'),
      type: z.string().max(63).optional().describe('Of this type.'),
    }),
    answer: taskStatsAnswer,
    statuses: { 200: 'The figures.' },
    async perform({ deps, viewer, query }) {
      const { projectId, type } = query as { readonly projectId?: string; readonly type?: string };
      const filter = { projectIds: visibleProjectIds(viewer, projectId), type: type ?? null };
      return { status: 200, body: toTaskStatsAnswer(await readTaskStats(deps.orchestrator.db, filter)) };
    },
  },
];

/** What the worker of a task says last of its attempt. */
function word(name: string, summary: string) {
  return {
    method: 'post',
    path: `/work/{id}/${name}`,
    tag: 'work',
    summary,
    scopes: ['work'],
    cost: WRITE_COST,
    answer: oneTask,
    statuses: { 200: 'The task as it is now; so, too, when the same was said before.' },
    refusals: [409],
  } as const;
}

async function enqueue(call: Call): Promise<Reply> {
  const { deps, viewer } = call;
  const { projectId, idempotencyKey, runAfter, ...rest } = withKey(call) as Json & { readonly projectId: string };
  const task = { ...rest, ...(typeof runAfter === 'string' && { runAfter: new Date(runAfter) }) };
  const input = {
    projectId: requireProjectId(viewer, projectId),
    task: task as unknown as EnqueueTaskInput,
    idempotencyKey: idempotencyKey as string | null | undefined,
  };
  const enqueued = await enqueueTask(deps.orchestrator, input, viewer.actor);
  const answer = toTaskAnswer(enqueued.task);
  return {
    status: enqueued.deduplicated ? 200 : 201,
    headers: { location: `/work/${answer.id}/status` },
    body: { task: answer, deduplicated: enqueued.deduplicated },
  };
}

async function dequeue({ deps, viewer, gone }: Call, input: ClaimTasksInput): Promise<Reply> {
  const { desk } = deps.orchestrator;
  const claim = { ...input, claimant: viewer.name, projectIds: viewer.projectIds };
  const tasks = await deps.longPolls.hold({ viewer, gone, tokens: deps.tokens }, async (over) => {
    const tasks = await desk.claim({ ...claim, signal: over });
    if (!over.aborted) return tasks;
    // They came at the moment at which nobody was left to take them.
    await Promise.all(tasks.map(({ id, leaseToken }) => releaseTask(deps.orchestrator, { id, leaseToken })));
    return [];
  });
  return { status: 200, body: { tasks: tasks.map(toClaimedTaskAnswer) } };
}

async function say(call: Call, speak: (id: string) => Promise<Task>): Promise<Reply> {
  const task = await speak(await requireTaskId(call));
  return { status: 200, body: { task: toTaskAnswer(task) } };
}

async function status(call: Call): Promise<Reply> {
  const { deps, viewer, gone } = call;
  const { db, hub } = deps.orchestrator;
  const id = await requireTaskId(call);
  const seconds = (call.query.waitSeconds as number | undefined) ?? 0;
  const look = async () => isTaskFinished((await requireTask(call, id)).status);
  if (seconds > 0 && !(await look())) {
    const listen = (wake: () => void) => {
      const offs = [hub.on(taskTopic(id), wake), hub.on(eventsTopic(id), wake)];
      return () => offs.forEach((off) => void off());
    };
    await deps.longPolls.wait({ caller: { viewer, gone, tokens: deps.tokens }, seconds, listen, look });
  }
  const [documents] = await readTaskDocuments(db, [id]);
  const task = await requireTask(call, id);
  return { status: 200, body: { task: toTaskAnswer(task), result: documents?.result ?? null } };
}

/** The UUID of a task that the caller may see. Throws NotFoundError. */
async function requireTaskId(call: Call): Promise<string> {
  const id = fromPublicId('task', call.id);
  if (id === null) throw new NotFoundError('task', call.id);
  return (await requireTask(call, id)).id;
}

async function requireTask({ deps, viewer, id: publicId }: Call, id: string): Promise<Task> {
  const task = await findTask(deps.orchestrator.db, id);
  if (!task || !seesProject(viewer, task.projectId)) throw new NotFoundError('task', publicId);
  return task;
}
