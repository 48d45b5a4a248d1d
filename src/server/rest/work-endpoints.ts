/** Tasks over REST, for whoever enqueues and for workers. Each route is the GraphQL operation of its name. */
import { z } from '@hono/zod-openapi';
import type { DocumentNode } from 'graphql';
import { eventsTopic, taskTopic } from '../../events/topics.ts';
import { fromPublicId } from '../../std/public-id.ts';
import { findTask, isTaskFinished, type TaskStatus } from '../../tasks/task.ts';
import {
  claimTasksInput,
  completeTaskInput,
  enqueueTaskInput,
  failTaskInput,
  heartbeatTaskInput,
  MAX_CLAIMED,
  releaseTaskInput,
} from '../../tasks/task-input.ts';
import type { Call, Endpoint, Json, Reply, Run } from './endpoint.ts';
import { KEY_HEADER, withKey } from './idempotency-key.ts';
import { dateTime, listOf, waitSeconds, wholeNumber } from './parameters.ts';
import {
  CLAIM_TASK,
  COMPLETE_TASK,
  ENQUEUE_TASK,
  FAIL_TASK,
  GET_TASK,
  HEARTBEAT_TASK,
  RELEASE_TASK,
  TASK_STATS,
} from './work-documents.ts';

const LEASE_EXAMPLE = { leaseToken: '0199f3a0-0000-4000-8000-000000000000' };
const ENQUEUE_EXAMPLE = {
  projectId: 'project_0199f3a0000070008000000000000000',
  type: 'flash',
  payload: { image: 'v7' },
  runsOn: ['rig:1'],
};
const CLAIM_EXAMPLE = { workerName: 'rig-1', types: ['flash'], labels: ['rig:1'], waitSeconds: 30 };

const DEQUEUE = {
  path: '/work/dequeue',
  tag: 'work',
  summary: 'Claim tasks, or wait for some',
  scopes: ['work'],
  document: CLAIM_TASK,
  statuses: { 200: 'The claims; none when nothing came within the time.' },
} as const;

export const WORK_ENDPOINTS: readonly Endpoint[] = [
  {
    method: 'post',
    path: '/work/enqueue',
    tag: 'work',
    name: 'enqueueTask',
    summary: 'Put a task into the queue',
    description:
      'A task of type `build` is a build: its payload is the spec, and it needs the scope `builds:write`, too.',
    scopes: ['tasks:write'],
    headers: KEY_HEADER,
    body: {
      // JSON has no dates.
      schema: z.strictObject({
        projectId: z.string().max(100),
        ...enqueueTaskInput.extend({ runAfter: dateTime.nullish() }).shape,
        idempotencyKey: z.string().max(255).nullish(),
      }),
      example: ENQUEUE_EXAMPLE,
    },
    document: ENQUEUE_TASK,
    statuses: {
      201: 'Accepted: durable, and in the queue. `Location` names it.',
      200: 'It was there before: same key, same input.',
    },
    refusals: [404, 409, 422],
    variables: (call) => ({ input: withKey(call) }),
    async reply(run) {
      const body = await run({});
      const { id } = body.task as TaskAnswer;
      return { status: body.deduplicated ? 200 : 201, headers: { location: `/work/${id}/status` }, body };
    },
  },
  {
    ...DEQUEUE,
    method: 'post',
    name: 'claimTask',
    description: 'With waitSeconds the answer waits until there is one that this worker can do.',
    body: { schema: claimTasksInput, example: CLAIM_EXAMPLE },
    variables: ({ body }) => ({ input: body }),
  },
  {
    ...DEQUEUE,
    method: 'get',
    name: 'claimTaskByGet',
    description: 'For callers that cannot POST. It changes the queue: nothing on the way may repeat it.',
    successor: '/work/dequeue',
    changes: true,
    query: z.strictObject({
      workerName: claimTasksInput.shape.workerName.describe('Names the worker among those of its token.'),
      types: z.array(z.string().max(63)).min(1).max(50).meta({ isList: true }).describe('Which types.'),
      labels: listOf(z.string().max(128)).describe('What the worker has.'),
      waitSeconds,
      max: wholeNumber(1, MAX_CLAIMED).describe(`Tasks at most: 1 to ${MAX_CLAIMED}, by default 1.`),
      claimId: claimTasksInput.shape.claimId.describe(
        'The same for a claim that is repeated because its answer was lost.',
      ),
    }),
    variables: ({ query }) => ({ input: query }),
  },
  {
    ...word('heartbeat', HEARTBEAT_TASK),
    name: 'heartbeatTask',
    summary: 'Say that the worker is alive, and how far it is',
    body: { schema: heartbeatTaskInput, example: { ...LEASE_EXAMPLE, progress: { percent: 40 } } },
  },
  {
    ...word('complete', COMPLETE_TASK),
    name: 'completeTask',
    summary: 'The work is done',
    body: { schema: completeTaskInput, example: { ...LEASE_EXAMPLE, result: { flashed: true } } },
  },
  {
    ...word('fail', FAIL_TASK),
    name: 'failTask',
    summary: 'The attempt has failed',
    description: 'Another attempt follows, unless retryable is false or it was the last one.',
    body: { schema: failTaskInput, example: { ...LEASE_EXAMPLE, reason: 'The rig does not answer.' } },
  },
  {
    ...word('release', RELEASE_TASK),
    name: 'releaseTask',
    summary: 'Give the task back',
    description: 'It waits again at once, and the attempt does not count as failed.',
    body: { schema: releaseTaskInput, example: LEASE_EXAMPLE },
  },
  {
    method: 'get',
    path: '/work/{id}/status',
    tag: 'work',
    name: 'getTask',
    summary: 'A task, and its result',
    description: 'With waitSeconds the answer waits until the task has ended, or the time is over.',
    scopes: ['tasks:read'],
    query: z.strictObject({ waitSeconds }),
    document: GET_TASK,
    resource: 'task',
    statuses: { 200: 'The task.' },
    variables: ({ id }) => ({ id }),
    reply: status,
  },
  {
    method: 'get',
    path: '/work/stats',
    tag: 'work',
    name: 'taskStats',
    summary: 'How the tasks are doing that are no builds',
    scopes: ['tasks:read'],
    query: z.strictObject({
      projectId: z.string().max(100).optional().describe('Of this project.'),
      type: z.string().max(63).optional().describe('Of this type.'),
    }),
    document: TASK_STATS,
    statuses: { 200: 'The figures.' },
    variables: ({ query }) => query,
  },
];

interface TaskAnswer extends Json {
  readonly id: string;
  readonly status: TaskStatus;
}

/** What the worker of a task says: each names its lease. */
function word(name: string, document: DocumentNode) {
  return {
    method: 'post' as const,
    path: `/work/{id}/${name}`,
    tag: 'work' as const,
    scopes: ['work'] as const,
    document,
    statuses: { 200: 'The task as it is now.' },
    refusals: [409],
    variables: ({ id, body }: Call) => ({ input: { ...body, taskId: id } }),
  };
}

async function status(run: Run, call: Call): Promise<Reply> {
  const task = (await run({})) as TaskAnswer;
  const seconds = (call.query.waitSeconds as number | undefined) ?? 0;
  if (seconds === 0 || isTaskFinished(task.status)) return { status: 200, body: task };
  await untilEnded(call, task.id, seconds);
  return { status: 200, body: await run({}) };
}

async function untilEnded({ deps, viewer, gone }: Call, publicId: string, seconds: number): Promise<void> {
  const id = fromPublicId('task', publicId);
  if (id === null) throw new Error('a task whose id is none');
  const { db, hub } = deps.orchestrator;
  await deps.longPolls.wait({
    viewer,
    seconds,
    gone,
    tokens: deps.tokens,
    listen(wake) {
      // A task may be a build.
      const offs = [hub.on(taskTopic(id), wake), hub.on(eventsTopic(id), wake)];
      return () => {
        for (const off of offs) off();
      };
    },
    async look() {
      const task = await findTask(db, id);
      return !task || isTaskFinished(task.status);
    },
  });
}
