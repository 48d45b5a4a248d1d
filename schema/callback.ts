/** The report of a finished build or task, and sending it again. */
import { can } from '../src/auth/viewer.ts';
import {
  type DELIVERY_STATUSES,
  type Delivery,
  type DeliveryAttempt,
  type DeliveryStatus,
  messageId,
} from '../src/callbacks/delivery.ts';
import { redeliverCallback } from '../src/callbacks/redeliver-callback.ts';
import { ForbiddenError, NotFoundError, TaskStateError } from '../src/errors.ts';
import { isTaskFinished } from '../src/tasks/task.ts';
import { builder } from './builder.ts';
import { requireBuildId, requireTask } from './ids.ts';
import { BuildRef, DeliveryRef, TaskRef } from './refs.ts';
import { values } from './vocabulary.ts';

const DeliveryStatusEnum = builder.enumType('CallbackStatus', {
  description: 'What became of a callback.',
  values: values<DeliveryStatus>({
    PENDING: 'It will be tried, again perhaps.',
    DELIVERED: 'The receiver has accepted it.',
    FAILED: 'It was given up; redeliverCallback or redeliverTaskCallback starts anew.',
  } satisfies Record<(typeof DELIVERY_STATUSES)[number], string>),
});

// What the receiver answered is left out: with callbacks to private addresses it would let a caller read them.
const AttemptRef = builder.objectRef<DeliveryAttempt>('CallbackAttempt').implement({
  description: 'One try to hand a callback over.',
  fields: (t) => ({
    number: t.exposeInt('attemptNo', { description: '1, 2, 3 … over all rounds; the newest 50 are kept.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it began.' }),
    durationMs: t.exposeInt('durationMs', { description: 'Milliseconds.' }),
    statusCode: t.exposeInt('statusCode', { nullable: true, description: 'Of the answer; null when none came.' }),
    error: t.exposeString('error', { nullable: true, description: 'Why it failed; null when it was accepted.' }),
  }),
});

DeliveryRef.implement({
  description: 'The signed HTTP report of a finished build or task.',
  fields: (t) => ({
    messageId: t.string({
      description: 'The `webhook-id` header: the same at every try.',
      resolve: ({ id }) => messageId(id),
    }),
    build: t.field({
      type: BuildRef,
      nullable: true,
      description: 'The build that it reports; null when it reports a task.',
      resolve: ({ buildId }, _args, { loaders }) => (buildId === null ? null : loaders.build.load(buildId)),
    }),
    task: t.field({
      type: TaskRef,
      nullable: true,
      description: 'The task that it reports; null when it reports a build.',
      resolve: ({ taskId }, _args, { loaders }) => (taskId === null ? null : loaders.task.load(taskId)),
    }),
    url: t.exposeString('url', { description: 'Where it goes.' }),
    status: t.field({ type: DeliveryStatusEnum, description: 'What became of it.', resolve: (d) => d.status }),
    tries: t.exposeInt('tries', { description: 'Tries in this round; a redelivery starts a new one.' }),
    nextAttemptAt: t.expose('dueAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it is tried next; null when it is not.',
    }),
    deliveredAt: t.expose('deliveredAt', { type: 'DateTime', nullable: true, description: 'When it was accepted.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the build or the task ended.' }),
    attempts: t.field({
      type: [AttemptRef],
      description: 'The tries, oldest first.',
      resolve: async ({ id }, _args, { loaders }) => [...(await loaders.deliveryAttempts.load(id))],
    }),
  }),
});

const RedeliverCallbackInput = builder.inputType('RedeliverCallbackInput', {
  description: 'Which callback to send again.',
  fields: (t) => ({ buildId: t.id({ required: true, description: 'The build that it reports.' }) }),
});

const RedeliverTaskCallbackInput = builder.inputType('RedeliverTaskCallbackInput', {
  description: 'Which callback to send again.',
  fields: (t) => ({ taskId: t.id({ required: true, description: 'The task that it reports.' }) }),
});

const RedeliverCallbackPayload = builder.objectRef<Delivery>('RedeliverCallbackPayload').implement({
  description: 'It will be sent again, with the same message id.',
  fields: (t) => ({
    delivery: t.field({ type: DeliveryRef, description: 'As it is now.', resolve: (delivery) => delivery }),
  }),
});

const RedeliverTaskCallbackPayload = builder.objectRef<Delivery>('RedeliverTaskCallbackPayload').implement({
  description: 'It will be sent again, with the same message id.',
  fields: (t) => ({
    delivery: t.field({ type: DeliveryRef, description: 'As it is now.', resolve: (delivery) => delivery }),
  }),
});

builder.mutationFields((t) => ({
  redeliverCallback: t.field({
    type: RedeliverCallbackPayload,
    description: "Send a finished build's callback again, whatever became of it.",
    authScopes: { scope: 'builds:write' },
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: RedeliverCallbackInput, required: true, description: 'Which callback.' }) },
    resolve: async (_root, { input }, context) => {
      const buildId = await requireBuildId(context, input.buildId);
      return redeliverCallback(context.orchestrator, { buildId }, context.viewer.actor);
    },
  }),
  redeliverTaskCallback: t.field({
    type: RedeliverTaskCallbackPayload,
    description:
      "Send the callback of a task that has ended again, whatever became of it. A build's needs builds:write, too.",
    authScopes: { scope: 'tasks:write' },
    errors: { types: [NotFoundError, TaskStateError] },
    args: { input: t.arg({ type: RedeliverTaskCallbackInput, required: true, description: 'Which callback.' }) },
    resolve: async (_root, { input }, context) => {
      const { id, isBuild, status } = await requireTask(context, input.taskId);
      const { orchestrator, viewer } = context;
      if (isBuild && !can(viewer, 'builds:write')) throw new ForbiddenError('builds:write');
      if (isBuild) return redeliverCallback(orchestrator, { buildId: id }, viewer.actor);
      // Of one that was requeued the last report is no longer true.
      if (!isTaskFinished(status))
        throw new TaskStateError(status, 'The task has not ended: there is nothing to report.');
      return redeliverCallback(orchestrator, { taskId: id }, viewer.actor);
    },
  }),
}));
