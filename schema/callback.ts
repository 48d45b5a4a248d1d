/** The report of a finished build or task, and sending it again. */
import {
  type DELIVERY_STATUSES,
  type Delivery,
  type DeliveryAttempt,
  type DeliveryStatus,
  messageId,
} from '../src/callbacks/delivery.ts';
import { redeliverCallback } from '../src/callbacks/redeliver-callback.ts';
import { NotFoundError } from '../src/errors.ts';
import { builder } from './builder.ts';
import { requireBuildId } from './ids.ts';
import { BuildRef, DeliveryRef, TaskRef } from './refs.ts';
import { values } from './vocabulary.ts';

const DeliveryStatusEnum = builder.enumType('CallbackStatus', {
  description: 'What became of a callback.',
  values: values<DeliveryStatus>({
    PENDING: 'It will be tried, again perhaps.',
    DELIVERED: 'The receiver has accepted it.',
    FAILED: 'It was given up; redeliverCallback starts anew.',
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

const RedeliverCallbackPayload = builder.objectRef<Delivery>('RedeliverCallbackPayload').implement({
  description: 'It will be sent again, with the same message id.',
  fields: (t) => ({
    delivery: t.field({ type: DeliveryRef, description: 'As it is now.', resolve: (delivery) => delivery }),
  }),
});

builder.mutationField('redeliverCallback', (t) =>
  t.field({
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
);
