/** Enqueueing tasks and changing their course. */
import { can } from '../src/auth/viewer.ts';
import {
  BudgetExceededError,
  BuildStateError,
  ForbiddenError,
  IdempotencyConflictError,
  InvalidInputError,
  NotFoundError,
  ProjectNotReadyError,
  TaskStateError,
} from '../src/errors.ts';
import { cancelTask, requeueTask } from '../src/tasks/change-task.ts';
import { type EnqueuedTask, enqueueTask } from '../src/tasks/enqueue-task.ts';
import { BUILD_TYPE, type Task } from '../src/tasks/task.ts';
import { LabelInput } from './build-spec.ts';
import { builder } from './builder.ts';
import { requireProjectId, requireTask } from './ids.ts';
import { TaskRef } from './refs.ts';

const TaskRetryInput = builder.inputType('TaskRetryInput', {
  description: 'What follows an attempt that failed.',
  fields: (t) => ({
    maxAttempts: t.int({ description: '1 to 100, by default 3: when so many have failed, the task has.' }),
    backoffSeconds: t.int({
      description: 'The pause after the first failure: at most 86400, by default 5. Each doubles the last one.',
    }),
    maxBackoffSeconds: t.int({ description: 'The longest pause: at most 604800, by default 300.' }),
  }),
});

const EnqueueTaskInput = builder.inputType('EnqueueTaskInput', {
  description: 'A task of a project.',
  fields: (t) => ({
    projectId: t.id({ required: true, description: 'The project.' }),
    type: t.string({
      required: true,
      description:
        '`build`, `test`, `deploy`, or a type of your own: see setTaskType. `build` needs `builds:write`, too.',
    }),
    payload: t.field({
      type: 'JSON',
      required: true,
      description: 'What is to be done, as the schema of its type says: at most 256 KiB. Of a `build` its spec.',
    }),
    idempotencyKey: t.string({
      description:
        'Names this request, so that sending it again is safe: the same key and input give the first task. At most 255 ' +
        'printable characters.',
    }),
    priority: t.int({
      description: '-100 to 100, by default 0: higher goes first, each point is worth a minute of waiting.',
    }),
    labels: t.field({ type: [LabelInput], description: 'For filters and statistics: at most 32.' }),
    runsOn: t.stringList({ description: 'Labels that a worker must have: at most 32.' }),
    concurrencyKey: t.string({ description: 'Tasks of the project with the same key run one at a time.' }),
    runAfter: t.field({ type: 'DateTime', description: 'Do not start before this.' }),
    callbackUrl: t.string({ description: 'Is told when it has ended, by signed HTTP.' }),
    retry: t.field({ type: TaskRetryInput, description: 'What follows a failure. Not for `build`.' }),
    leaseSeconds: t.int({
      description:
        'How long a claim or a heartbeat holds it: 5 to 3600, by default 60. A worker that is silent for longer has lost ' +
        'it. Not for `build`.',
    }),
  }),
});

const EnqueueTaskPayload = builder.objectRef<EnqueuedTask>('EnqueueTaskPayload').implement({
  description: 'The task is accepted: durable, and in the queue.',
  fields: (t) => ({
    task: t.field({ type: TaskRef, description: 'The task.', resolve: ({ task }) => task }),
    deduplicated: t.exposeBoolean('deduplicated', { description: 'It was there before: same key, same input.' }),
  }),
});

const CancelTaskInput = builder.inputType('CancelTaskInput', {
  description: 'Which task to end, and why.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The task.' }),
    reason: t.string({ description: 'Shown with the task: at most 1000 characters.' }),
  }),
});

const CancelTaskPayload = builder.objectRef<Task>('CancelTaskPayload').implement({
  description: 'The end is asked for.',
  fields: (t) => ({
    task: t.field({
      type: TaskRef,
      description:
        'CANCELLED when it was waiting; else RUNNING with cancelRequestedAt: its worker learns it with its next heartbeat.',
      resolve: (task) => task,
    }),
  }),
});

const RequeueTaskInput = builder.inputType('RequeueTaskInput', {
  description: 'Which task gets another round.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The task, which has failed or was cancelled.' }) }),
});

const RequeueTaskPayload = builder.objectRef<Task>('RequeueTaskPayload').implement({
  description: 'It waits again, with all its attempts.',
  fields: (t) => ({ task: t.field({ type: TaskRef, description: 'The task.', resolve: (task) => task }) }),
});

builder.mutationFields((t) => ({
  enqueueTask: t.field({
    type: EnqueueTaskPayload,
    description: 'Give somebody work. When this answers, the task is durable.',
    authScopes: { scope: 'tasks:write' },
    errors: {
      types: [
        InvalidInputError,
        NotFoundError,
        IdempotencyConflictError,
        ProjectNotReadyError,
        BuildStateError,
        BudgetExceededError,
      ],
    },
    args: { input: t.arg({ type: EnqueueTaskInput, required: true, description: 'The task.' }) },
    resolve: async (_root, { input }, { orchestrator, viewer, loaders }) => {
      const { projectId: id, idempotencyKey, ...task } = input;
      if (task.type === BUILD_TYPE && !can(viewer, 'builds:write')) throw new ForbiddenError('builds:write');
      const projectId = requireProjectId(viewer, id);
      const { payload } = task;
      const wanted = { projectId, task: { ...task, payload }, idempotencyKey };
      const enqueued = await enqueueTask(orchestrator, wanted, viewer.actor);
      loaders.task.clear(enqueued.task.id);
      return enqueued;
    },
  }),
  cancelTask: t.field({
    type: CancelTaskPayload,
    description: 'End a task. A waiting one ends at once, a running one when its worker has let go of it.',
    authScopes: { scope: 'tasks:write' },
    errors: { types: [InvalidInputError, NotFoundError, TaskStateError, BuildStateError] },
    args: { input: t.arg({ type: CancelTaskInput, required: true, description: 'Which task, and why.' }) },
    resolve: async (_root, { input }, context) => {
      const { id, isBuild } = await requireTask(context, input.id);
      const { orchestrator, viewer } = context;
      if (isBuild && !can(viewer, 'builds:write')) throw new ForbiddenError('builds:write');
      return cancelTask(orchestrator, { ...input, id }, viewer.actor);
    },
  }),
  requeueTask: t.field({
    type: RequeueTaskPayload,
    description: 'Give a task another round that has failed for good or was cancelled.',
    authScopes: { scope: 'tasks:write' },
    errors: { types: [NotFoundError, TaskStateError] },
    args: { input: t.arg({ type: RequeueTaskInput, required: true, description: 'Which task.' }) },
    resolve: async (_root, { input }, context) => {
      const { id } = await requireTask(context, input.id);
      return requeueTask(context.orchestrator, { id }, context.viewer.actor);
    },
  }),
}));
