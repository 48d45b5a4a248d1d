/** Workers. */
import { NotFoundError } from '../src/errors.ts';
import { fromPublicId } from '../src/std/public-id.ts';
import type { Hardware } from '../src/workers/hardware.ts';
import { findWorkers, type WorkerRecord, type WorkerStatus } from '../src/workers/registry.ts';
import type { WorkerAttempt } from '../src/workers/worker-history.ts';
import { BuildConnection, childBuilds } from './build.ts';
import { builder, EMBEDDED_LIST, pageComplexity } from './builder.ts';
import type { Context } from './context.ts';
import type { BuildsQuery } from './loaders.ts';
import { NUMBER_CURSOR, pageRequest, sliceKeyset, toConnection, UUID_CURSOR } from './pagination.ts';
import { BuildRef, WorkerRef } from './refs.ts';
import { values } from './vocabulary.ts';

const RUNNING: BuildsQuery = { by: 'worker_id', filter: { statuses: ['RUNNING'] } };

const WorkerStatusEnum = builder.enumType('WorkerStatus', {
  description: 'Whether a worker takes builds.',
  values: values<WorkerStatus>({
    ONLINE: 'It takes builds.',
    CORDONED: 'It ends what it has and takes nothing new until uncordonWorker.',
    EVICTED: 'What it ran was put back, and it takes nothing any more.',
    DRAINING: 'It ends what it has and takes nothing new.',
    OFFLINE: 'It stopped, or has not been heard of.',
  }),
});

const WorkerProviderRef = builder.objectRef<WorkerRecord['providers'][number]>('WorkerProvider').implement({
  description: 'An agent that a worker can run.',
  fields: (t) => ({
    provider: t.exposeString('provider', { description: 'Its name.' }),
    version: t.exposeString('version', { description: 'Its version there.' }),
  }),
});

const HardwareRef = builder.objectRef<Hardware>('WorkerHardware').implement({
  description: "What a worker's machine is.",
  fields: (t) => ({
    cpus: t.exposeInt('cpus', { description: 'Processors that it may use.' }),
    memoryBytes: t.field({
      type: 'SafeInt',
      description: 'Bytes of memory, of the machine or of its container.',
      resolve: ({ memoryBytes }) => memoryBytes,
    }),
    platform: t.exposeString('platform', { description: 'The operating system: `linux`.' }),
    arch: t.exposeString('arch', { description: 'The processor: `x64`, `arm64`.' }),
  }),
});

const AttemptOutcomeEnum = builder.enumType('WorkerAttemptOutcome', {
  description: 'How an attempt ended.',
  values: values<NonNullable<WorkerAttempt['outcome']>>({
    FINISHED: 'The build ended with it, well or badly.',
    RELEASED: 'The worker gave the build back, or had to: drained, evicted, or its provider took no requests.',
    LOST: 'The worker or its workspace was lost.',
  }),
});

const WorkerAttemptRef = builder.objectRef<WorkerAttempt>('WorkerAttempt').implement({
  description: 'One try of a worker at a build.',
  fields: (t) => ({
    build: t.field({
      type: BuildRef,
      description: 'The build.',
      resolve: async ({ buildId }, _args, { loaders }) => {
        const build = await loaders.build.load(buildId);
        if (!build) throw new Error('attempts are of builds that may be seen');
        return build;
      },
    }),
    attemptNo: t.exposeInt('attemptNo', { description: "Which of the build's attempts." }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When it was claimed.' }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true, description: 'When it ended; null: it runs.' }),
    durationMs: t.field({
      type: 'SafeInt',
      nullable: true,
      description: 'Milliseconds from the claim to its end; null: it runs.',
      resolve: ({ startedAt, endedAt }) => endedAt && Math.max(0, endedAt.getTime() - startedAt.getTime()),
    }),
    outcome: t.field({
      type: AttemptOutcomeEnum,
      nullable: true,
      description: 'How it ended; null: it runs.',
      resolve: ({ outcome }) => outcome,
    }),
  }),
});

WorkerRef.implement({
  description: 'A process that takes builds from the queue and runs them.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name; several may have the same.' }),
    status: t.field({ type: WorkerStatusEnum, description: 'Whether it takes builds.', resolve: (w) => w.status }),
    version: t.exposeString('version', { description: 'Its version of Slipway.' }),
    capacity: t.exposeInt('capacity', { description: 'Builds that it runs at the same time.' }),
    running: t.int({
      description: 'Builds that it runs now, of the projects that this token may see.',
      resolve: ({ id: parent }, _args, { loaders }) => loaders.buildCount.load({ parent, query: RUNNING }),
    }),
    providers: t.field({
      type: [WorkerProviderRef],
      description: 'The agents that it can run.',
      complexity: EMBEDDED_LIST,
      resolve: ({ providers }) => [...providers],
    }),
    labels: t.field({
      type: ['String'],
      description: 'What it is good for: `gpu`, `arch=arm64`; `provider:…` and `runtime:…` by itself.',
      resolve: ({ labels }) => [...labels],
    }),
    hardware: t.field({
      type: HardwareRef,
      nullable: true,
      description: 'Its machine; null when it did not say.',
      resolve: ({ hardware }) => hardware,
    }),
    remote: t.boolean({
      description: 'It works over the API, and not beside the database.',
      resolve: ({ tokenId }) => tokenId !== null,
    }),
    cordonedAt: t.expose('cordonedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when it takes nothing new by cordonWorker; null: it is not cordoned.',
    }),
    cordonedBy: t.exposeString('cordonedBy', { nullable: true, description: 'Who cordoned it: `token_…`.' }),
    drainUntil: t.expose('drainUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'When it lets go of what still runs, by drainWorker; null: nobody drains it.',
    }),
    evictedAt: t.expose('evictedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was evicted; null: it was not.',
    }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When it started.' }),
    lastHeartbeatAt: t.expose('heartbeatAt', { type: 'DateTime', description: 'When it was last heard of.' }),
    currentBuilds: t.connection(
      {
        type: BuildRef,
        description: 'What it runs now, oldest first.',
        complexity: pageComplexity,
        resolve: ({ id }, args, context) => childBuilds(context, id, { args, direction: 'asc', query: RUNNING }),
      },
      BuildConnection,
    ),
    history: t.connection(
      {
        type: WorkerAttemptRef,
        description: 'What it has run, of the projects that this token may see, newest first.',
        complexity: pageComplexity,
        resolve: async ({ id: parent }, args, { loaders }) => {
          const request = pageRequest(args, NUMBER_CURSOR, 'desc');
          const rows = await loaders.history.load({ parent, query: null, keyset: request.keyset });
          return toConnection(request, rows, ({ seq }) => seq);
        },
      },
      { name: 'WorkerAttemptConnection', description: 'One page of what a worker has run.' },
      { name: 'WorkerAttemptEdge', description: 'An attempt in a list.' },
    ),
  }),
});

const WorkerFilterInput = builder.inputType('WorkerFilter', {
  description: 'Every member that is present narrows the list.',
  fields: (t) => ({
    statuses: t.field({ type: [WorkerStatusEnum], description: 'Any of these.' }),
    labels: t.stringList({ description: 'All of these.' }),
    name: t.string({ description: 'Exactly this name.' }),
  }),
});

function matches(worker: WorkerRecord, filter: typeof WorkerFilterInput.$inferInput | null | undefined): boolean {
  const { statuses, labels, name } = filter ?? {};
  if (statuses && !statuses.includes(worker.status)) return false;
  if (typeof name === 'string' && worker.name !== name) return false;
  return (labels ?? []).every((label) => worker.labels.includes(label));
}

async function findWorker({ loaders }: Context, id: string): Promise<WorkerRecord | null> {
  const uuid = fromPublicId('worker', id);
  return uuid === null ? null : loaders.worker.load(uuid);
}

builder.queryField('worker', (t) =>
  t.field({
    type: WorkerRef,
    nullable: true,
    description: 'One worker, also one that ended long ago; null when there is no such one.',
    authScopes: { scope: 'builds:read' },
    args: { id: t.arg.id({ required: true, description: 'Its id: `worker_…`.' }) },
    resolve: (_root, { id }, context) => findWorker(context, id),
  }),
);

builder.subscriptionField('workerActivity', (t) =>
  t.field({
    type: WorkerRef,
    description:
      'Each worker as it is, and again whenever something about it has changed: it came, went, was told something, or what it ' +
      'runs is another. Changes that follow each other closely come as one. It does not end by itself.',
    authScopes: { scope: 'builds:read' },
    args: {
      workerId: t.arg.id({ description: 'Only this one; absent for all that were heard of in the last day.' }),
    },
    subscribe: async (_root, { workerId }, context) => {
      const { workerWatch } = context.orchestrator;
      if (typeof workerId !== 'string') return workerWatch.follow(null);
      const worker = await findWorker(context, workerId);
      if (!worker) throw new NotFoundError('worker', workerId);
      return workerWatch.follow(worker.id);
    },
    resolve: (worker) => worker,
  }),
);

builder.queryField('workers', (t) =>
  t.connection(
    {
      type: WorkerRef,
      description: 'Workers that were heard of in the last day, newest first.',
      authScopes: { scope: 'builds:read' },
      complexity: pageComplexity,
      args: { filter: t.arg({ type: WorkerFilterInput, description: 'Which workers.' }) },
      resolve: async (_root, args, { orchestrator: { db } }) => {
        const request = pageRequest(args, UUID_CURSOR, 'desc');
        const workers = (await findWorkers(db)).filter((worker) => matches(worker, args.filter));
        const rows = sliceKeyset(workers, request.keyset, (worker) => worker.id);
        return toConnection(request, rows, (worker) => worker.id);
      },
    },
    { name: 'WorkerConnection', description: 'One page of workers.' },
    { name: 'WorkerEdge', description: 'A worker in a list.' },
  ),
);
