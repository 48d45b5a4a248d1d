/** What administrators tell workers. */
import { InvalidInputError, NotFoundError } from '../src/errors.ts';
import {
  cordonWorker,
  type DrainOrder,
  drainWorker,
  evictWorker,
  MAX_GRACE_SECONDS,
  uncordonWorker,
} from '../src/workers/administer-worker.ts';
import type { WorkerRecord } from '../src/workers/registry.ts';
import { builder } from './builder.ts';
import { requireWorkerId } from './ids.ts';
import { WorkerRef } from './refs.ts';
import { values } from './vocabulary.ts';

const DEFAULT_GRACE_SECONDS = 600;

const DrainModeEnum = builder.enumType('DrainMode', {
  description: 'What becomes of builds that still run when the time of a drain is over.',
  values: values<DrainOrder['mode']>({
    PUT_BACK: 'Their agents are ended, and another worker begins them again.',
    LEAVE: 'Their agents go on for 30 seconds, so that a worker that starts on the same machine takes them over.',
  }),
});

const inputOf = (name: string, description: string) =>
  builder.inputType(name, {
    description,
    fields: (t) => ({ id: t.id({ required: true, description: 'Its id: `worker_…`.' }) }),
  });

const CordonWorkerInput = inputOf('CordonWorkerInput', 'Which worker takes nothing new.');
const UncordonWorkerInput = inputOf('UncordonWorkerInput', 'Which worker takes builds again.');
const EvictWorkerInput = inputOf('EvictWorkerInput', 'Which worker loses what it runs.');
const DrainWorkerInput = builder.inputType('DrainWorkerInput', {
  description: 'Which worker is to end, and when.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'Its id: `worker_…`.' }),
    graceSeconds: t.int({
      required: true,
      defaultValue: DEFAULT_GRACE_SECONDS,
      description: `Seconds that what it runs may go on, at most ${MAX_GRACE_SECONDS}.`,
    }),
    mode: t.field({
      type: DrainModeEnum,
      required: true,
      defaultValue: 'PUT_BACK',
      description: 'What becomes of what runs on then.',
    }),
  }),
});

const payloadOf = (name: string, description: string) =>
  builder.objectRef<WorkerRecord>(name).implement({
    description,
    fields: (t) => ({
      worker: t.field({ type: WorkerRef, description: 'As it is now.', resolve: (worker) => worker }),
    }),
  });

const CordonWorkerPayload = payloadOf('CordonWorkerPayload', 'The worker takes nothing new.');
const UncordonWorkerPayload = payloadOf('UncordonWorkerPayload', 'The worker takes builds.');
const DrainWorkerPayload = payloadOf('DrainWorkerPayload', 'The worker was told to end, or has ended.');
const EvictWorkerPayload = payloadOf('EvictWorkerPayload', 'The worker has lost what it ran.');

// A worker runs builds of all projects.
const authScopes = { $all: { scope: 'workers', allProjects: true } } as const;
const errors = { types: [NotFoundError] };

builder.mutationFields((t) => ({
  cordonWorker: t.field({
    type: CordonWorkerPayload,
    description:
      'Let a worker end what it has and take nothing new, until uncordonWorker: also when it is started again, with the same ' +
      'name in the same place. Doing it twice is fine.',
    authScopes,
    errors,
    args: { input: t.arg({ type: CordonWorkerInput, required: true, description: 'Which worker.' }) },
    resolve: (_root, { input }, context) =>
      cordonWorker(context.orchestrator, requireWorkerId(context, input.id), context.viewer.actor),
  }),
  uncordonWorker: t.field({
    type: UncordonWorkerPayload,
    description: 'Let a worker take builds again. Doing it twice is fine.',
    authScopes,
    errors,
    args: { input: t.arg({ type: UncordonWorkerInput, required: true, description: 'Which worker.' }) },
    resolve: (_root, { input }, context) =>
      uncordonWorker(context.orchestrator, requireWorkerId(context, input.id), context.viewer.actor),
  }),
  drainWorker: t.field({
    type: DrainWorkerPayload,
    description:
      'Let a worker take nothing new and end what it has; then `slipway work` exits with 0. Of two such orders the one counts that ' +
      'ends sooner.',
    authScopes,
    errors: { types: [NotFoundError, InvalidInputError] },
    args: { input: t.arg({ type: DrainWorkerInput, required: true, description: 'Which worker.' }) },
    resolve: (_root, { input: { id, graceSeconds, mode } }, context) => {
      const order = { id: requireWorkerId(context, id), graceSeconds, mode };
      return drainWorker(context.orchestrator, order, context.viewer.actor);
    },
  }),
  evictWorker: t.field({
    type: EvictWorkerPayload,
    description:
      'Put what a worker runs back at once, for others; nothing that it still does counts, and its process ends when it hears ' +
      'of it. What starts it again makes a new worker of it: cordon it first to prevent that. Doing it twice is fine.',
    authScopes,
    errors,
    args: { input: t.arg({ type: EvictWorkerInput, required: true, description: 'Which worker.' }) },
    resolve: (_root, { input }, context) =>
      evictWorker(context.orchestrator, requireWorkerId(context, input.id), context.viewer.actor),
  }),
}));
