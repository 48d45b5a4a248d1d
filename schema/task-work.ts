/** What workers of tasks say, from wherever they are. */
import { InvalidInputError, LeaseLostError, NotFoundError, TaskStateError } from '../src/errors.ts';
import type { ClaimedTask, Task } from '../src/tasks/task.ts';
import { MAX_WAIT_SECONDS } from '../src/tasks/task-input.ts';
import { type Beat, completeTask, failTask, heartbeatTask, releaseTask } from '../src/tasks/work-on-task.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import type { Context } from './context.ts';
import { requireTask } from './ids.ts';
import { TaskRef } from './refs.ts';

const TaskClaimRef = builder.objectRef<ClaimedTask>('TaskClaim').implement({
  description: "A task that is now this worker's.",
  fields: (t) => ({
    task: t.field({ type: TaskRef, description: 'The task.', resolve: (task) => task }),
    leaseToken: t.exposeString('leaseToken', {
      description: 'Proves the claim: every later call for this task sends it.',
    }),
    leaseUntil: t.expose('leaseUntil', {
      type: 'DateTime',
      description: 'Without a heartbeat until then the task is lost, and goes to another worker.',
    }),
  }),
});

const ClaimTaskInput = builder.inputType('ClaimTaskInput', {
  description: 'Who asks for work, and for which.',
  fields: (t) => ({
    workerName: t.string({
      required: true,
      description: 'Names the worker among those with this token: at most 100 bytes.',
    }),
    types: t.stringList({ required: true, description: 'Tasks of any of these types; `build` cannot be claimed.' }),
    labels: t.stringList({ description: 'What the worker has: a task may need some of it. At most 64.' }),
    waitSeconds: t.float({
      description: `Wait so long for a task when there is none: 0 to ${MAX_WAIT_SECONDS}, by default 0.`,
    }),
    max: t.int({ description: 'Tasks, at most: 1 to 50, by default 1.' }),
    claimId: t.string({
      description:
        'A new one for each claim, such as a UUID, at most 100 bytes: the same worker that asks again with it, because the ' +
        'answer was lost, is given the tasks of that claim whose leases hold, and no others.',
    }),
  }),
});

const ClaimTaskPayload = builder.objectRef<readonly ClaimedTask[]>('ClaimTaskPayload').implement({
  description: 'What there was to do.',
  fields: (t) => ({
    claim: t.field({
      type: TaskClaimRef,
      nullable: true,
      description: 'The first of them; null when there was nothing within the time.',
      resolve: ([first]) => first,
    }),
    claims: t.field({
      type: [TaskClaimRef],
      description: 'All of them.',
      complexity: EMBEDDED_LIST,
      resolve: (claims) => [...claims],
    }),
  }),
});

const TASK_ID = 'The task.';
const LEASE = 'Of the claim.';

const HeartbeatTaskInput = builder.inputType('HeartbeatTaskInput', {
  description: 'A worker says that it lives.',
  fields: (t) => ({
    taskId: t.id({ required: true, description: TASK_ID }),
    leaseToken: t.string({ required: true, description: LEASE }),
    progress: t.field({ type: 'JSON', description: 'How far it is, in any form: at most 8 KiB. Absent: as it was.' }),
  }),
});

const HeartbeatTaskPayload = builder.objectRef<Beat>('HeartbeatTaskPayload').implement({
  description: 'The lease goes on.',
  fields: (t) => ({
    task: t.field({ type: TaskRef, description: 'The task.', resolve: ({ task }) => task }),
    leaseUntil: t.expose('leaseUntil', { type: 'DateTime', description: 'The next heartbeat must come before.' }),
    cancelRequested: t.exposeBoolean('cancelRequested', {
      description: 'Somebody wants its end: stop, and release or fail the task. It is CANCELLED then.',
    }),
  }),
});

const CompleteTaskInput = builder.inputType('CompleteTaskInput', {
  description: 'The work is done.',
  fields: (t) => ({
    taskId: t.id({ required: true, description: TASK_ID }),
    leaseToken: t.string({ required: true, description: LEASE }),
    result: t.field({ type: 'JSON', description: 'What came of it: at most 64 KiB.' }),
  }),
});

const FailTaskInput = builder.inputType('FailTaskInput', {
  description: 'The attempt has failed.',
  fields: (t) => ({
    taskId: t.id({ required: true, description: TASK_ID }),
    leaseToken: t.string({ required: true, description: LEASE }),
    reason: t.string({ required: true, description: 'Why, for people: at most 4 KiB.' }),
    retryable: t.boolean({ description: 'Another attempt may help; by default true.' }),
    result: t.field({ type: 'JSON', description: 'What there is to show all the same: kept when this is the end.' }),
  }),
});

const ReleaseTaskInput = builder.inputType('ReleaseTaskInput', {
  description: 'The worker gives the task back.',
  fields: (t) => ({
    taskId: t.id({ required: true, description: TASK_ID }),
    leaseToken: t.string({ required: true, description: LEASE }),
  }),
});

const payload = (name: string, description: string) =>
  builder.objectRef<Task>(name).implement({
    description,
    fields: (t) => ({ task: t.field({ type: TaskRef, description: 'As it is now.', resolve: (task) => task }) }),
  });

const CompleteTaskPayload = payload('CompleteTaskPayload', 'The task is COMPLETED.');
const FailTaskPayload = payload('FailTaskPayload', 'The task waits for another attempt, is FAILED, or is CANCELLED.');
const ReleaseTaskPayload = payload('ReleaseTaskPayload', 'The task waits again, or is CANCELLED.');

/** Also the errors that each of these words can meet. */
const errors = { types: [InvalidInputError, NotFoundError, TaskStateError, LeaseLostError] };

async function ofTask<Input extends { readonly taskId: string }>(context: Context, { taskId, ...input }: Input) {
  const { id } = await requireTask(context, taskId);
  return { ...input, id };
}

builder.mutationFields((t) => ({
  claimTask: t.field({
    type: ClaimTaskPayload,
    description:
      'Take work, waiting for it if there is none. A token that is limited to projects gets only their tasks. More than ' +
      'a thousand that wait in one server are refused with the code OVERLOADED.',
    authScopes: { scope: 'work' },
    errors: { types: [InvalidInputError] },
    args: { input: t.arg({ type: ClaimTaskInput, required: true, description: 'Who asks, and for what.' }) },
    resolve: async (_root, { input }, { orchestrator: { desk }, viewer, loaders, wait }) => {
      const waitSeconds = input.waitSeconds ?? 0;
      const signal = waitSeconds > 0 ? wait(Math.min(waitSeconds, MAX_WAIT_SECONDS) * 1_000) : undefined;
      const { name: claimant, projectIds } = viewer;
      const claims = await desk.claim({ ...input, claimant, projectIds, signal });
      for (const { id, payload } of claims) loaders.taskDocuments.prime(id, { id, payload, result: null });
      return claims;
    },
  }),
  heartbeatTask: t.field({
    type: HeartbeatTaskPayload,
    description: 'Hold a task for another leaseSeconds, and learn whether somebody wants its end.',
    authScopes: { scope: 'work' },
    errors,
    args: { input: t.arg({ type: HeartbeatTaskInput, required: true, description: 'Which lease.' }) },
    resolve: async (_root, { input }, context) => heartbeatTask(context.orchestrator, await ofTask(context, input)),
  }),
  completeTask: t.field({
    type: CompleteTaskPayload,
    description: 'Say that the work is done. Sent again with the same result, it gives the same answer.',
    authScopes: { scope: 'work' },
    errors,
    args: {
      input: t.arg({ type: CompleteTaskInput, required: true, description: 'Which lease, and what came of it.' }),
    },
    resolve: async (_root, { input }, context) => completeTask(context.orchestrator, await ofTask(context, input)),
  }),
  failTask: t.field({
    type: FailTaskPayload,
    description: 'Say that the attempt has failed. Another one follows after a pause, unless it cannot help.',
    authScopes: { scope: 'work' },
    errors,
    args: { input: t.arg({ type: FailTaskInput, required: true, description: 'Which lease, and why.' }) },
    resolve: async (_root, { input }, context) => failTask(context.orchestrator, await ofTask(context, input)),
  }),
  releaseTask: t.field({
    type: ReleaseTaskPayload,
    description: 'Give a task back: another worker can take it at once, and the attempt does not count as failed.',
    authScopes: { scope: 'work' },
    errors,
    args: { input: t.arg({ type: ReleaseTaskInput, required: true, description: 'Which lease.' }) },
    resolve: async (_root, { input }, context) => releaseTask(context.orchestrator, await ofTask(context, input)),
  }),
}));
