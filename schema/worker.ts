/** Workers. */
import { findWorkers, type WorkerRecord, type WorkerStatus } from '../src/workers/registry.ts';
import { BuildConnection, childBuilds } from './build.ts';
import { builder, EMBEDDED_LIST, pageComplexity } from './builder.ts';
import type { BuildsQuery } from './loaders.ts';
import { pageRequest, sliceKeyset, toConnection, UUID_CURSOR } from './pagination.ts';
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
  }),
});

builder.queryField('workers', (t) =>
  t.connection(
    {
      type: WorkerRef,
      description: 'Workers that were heard of in the last day, newest first.',
      authScopes: { scope: 'builds:read' },
      complexity: pageComplexity,
      args: { status: t.arg({ type: WorkerStatusEnum, description: 'Only these.' }) },
      resolve: async (_root, args, { orchestrator: { db } }) => {
        const request = pageRequest(args, UUID_CURSOR, 'desc');
        const workers = (await findWorkers(db)).filter(({ status }) => !args.status || status === args.status);
        const rows = sliceKeyset(workers, request.keyset, (worker) => worker.id);
        return toConnection(request, rows, (worker) => worker.id);
      },
    },
    { name: 'WorkerConnection', description: 'One page of workers.' },
    { name: 'WorkerEdge', description: 'A worker in a list.' },
  ),
);
