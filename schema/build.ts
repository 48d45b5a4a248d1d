/** The build, and how builds are found. */
import { type BuildSummary, durationMs, findBuildByIdempotencyKey, isFinished, queuedMs } from '../src/builds/build.ts';
import { buildTrace } from '../src/builds/build-trace.ts';
import type { BuildFilter } from '../src/builds/filter-builds.ts';
import { countBuilds, listBuildsTogether } from '../src/builds/list-builds.ts';
import { resultOf, specOf } from './build-document.ts';
import { BuildFilterInput, BuildOrderInput, orderDirection, toBuildFilter } from './build-filter.ts';
import { BuildResultRef, FailureRef, PhaseUsageRef, UsageRef } from './build-result.ts';
import { BuildSpecRef } from './build-spec.ts';
import { builder, pageComplexity } from './builder.ts';
import { checkText } from './check-text.ts';
import type { Context } from './context.ts';
import { findBuildById, findProjectById } from './ids.ts';
import type { BuildsQuery } from './loaders.ts';
import { type PageArguments, pageRequest, toConnection, UUID_CURSOR } from './pagination.ts';
import { ArtifactRef, BuildRef, DeliveryRef, ProjectRef, WorkerRef } from './refs.ts';
import { BuildPhaseEnum, BuildSourceEnum, BuildStatusEnum, WaitingForEnum } from './vocabulary.ts';

interface Counted {
  readonly totalCount: () => Promise<number>;
}

BuildRef.implement({
  description: 'One request to let an agent change a project: the spec goes in, the result comes out.',
  fields: (t) => ({
    number: t.exposeInt('number', { description: '1, 2, 3 … per project.' }),
    project: t.field({
      type: ProjectRef,
      description: 'What it changes.',
      resolve: async ({ projectId }, _args, { loaders }) => found(await loaders.project.load(projectId)),
    }),
    status: t.field({ type: BuildStatusEnum, description: 'Where it is in its life.', resolve: (b) => b.status }),
    phase: t.field({ type: BuildPhaseEnum, description: 'What is being done.', resolve: (b) => b.phase }),
    waitingFor: t.field({
      type: WaitingForEnum,
      nullable: true,
      description: 'What it cannot go on without; null while nothing is missing.',
      resolve: (b) => b.waitingFor,
    }),
    resumeAt: t.expose('resumeAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a build that waits for QUOTA goes on; null for every other one.',
    }),
    spec: t.field({
      type: BuildSpecRef,
      description: 'What was asked for.',
      resolve: (b, _args, { loaders }) => specOf(loaders, b),
    }),
    source: t.field({ type: BuildSourceEnum, description: 'What started it.', resolve: (b) => b.source }),
    priority: t.exposeInt('priority', { description: 'Higher goes first.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was accepted.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it was first claimed.' }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
    durationMs: t.field({
      type: 'SafeInt',
      nullable: true,
      description: 'Milliseconds from the first claim to the end, or to now; null before the claim.',
      resolve: (b) => durationMs(b),
    }),
    queuedMs: t.field({
      type: 'SafeInt',
      description: 'Milliseconds from acceptance to the first claim, or to now.',
      resolve: (b) => queuedMs(b),
    }),
    requestedBy: t.exposeString('requestedBy', {
      description: 'Who asked for it: `token_…`, `schedule_…` or `system`.',
    }),
    attempt: t.exposeInt('attemptNo', { description: 'The try that runs or ran last; 0 before the first.' }),
    retryOf: t.field({
      type: BuildRef,
      nullable: true,
      description: 'The build that this one repeats.',
      resolve: ({ retryOf }, _args, { loaders }) => (retryOf === null ? null : loaders.build.load(retryOf)),
    }),
    supersededBy: t.field({
      type: BuildRef,
      nullable: true,
      description: 'The build that took its place, or was in its way: see `spec.supersede`.',
      resolve: ({ supersededBy }, _args, { loaders }) =>
        supersededBy === null ? null : loaders.build.load(supersededBy),
    }),
    result: t.field({
      type: BuildResultRef,
      nullable: true,
      description: 'How it ended; null until then.',
      // Asked of the row that everything else here is from: a build that ends meanwhile has no result yet.
      resolve: ({ id, status }, _args, { loaders }) => (isFinished(status) ? resultOf(loaders, id) : null),
    }),
    failure: t.field({
      type: FailureRef,
      nullable: true,
      description: 'Why it failed; exactly when it is FAILED.',
      resolve: (b) => b.failure,
    }),
    usage: t.field({
      type: UsageRef,
      nullable: true,
      description: 'Tokens and money so far, over all runs of its agent; null while nothing is known.',
      resolve: (b) => b.usage,
    }),
    usageByPhase: t.field({
      type: [PhaseUsageRef],
      description: 'The same by phase: those in which a model was used, which is AGENT at most.',
      complexity: { field: 1, multiplier: 1 },
      resolve: ({ usage }) => (usage ? [{ phase: 'AGENT' as const, usage }] : []),
    }),
    cancelRequestedAt: t.expose('cancelRequestedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When somebody asked for the end.',
    }),
    cancelReason: t.exposeString('cancelReason', { nullable: true, description: 'What they gave as the reason.' }),
    traceId: t.string({
      nullable: true,
      description:
        'The trace that shows it from the request to the callback, as W3C Trace Context has it: look it up where your ' +
        'traces are, and in the logs. Null in builds that are older than this field.',
      resolve: (b) => buildTrace(b)?.traceId ?? null,
    }),
    idempotencyKey: t.exposeString('idempotencyKey', { nullable: true, description: 'What it was started with.' }),
    lastEventCursor: t.string({
      description: 'Read a build, then follow buildProgress after this cursor: nothing is missed or repeated.',
      resolve: (b) => String(b.lastSeq),
    }),
    callbacks: t.field({
      type: [DeliveryRef],
      description: 'Who was or will be told about the end.',
      complexity: { field: 1, multiplier: 1 },
      resolve: async ({ id }, _args, { loaders }) => [...(await loaders.deliveries.load(id))],
    }),
    worker: t.field({
      type: WorkerRef,
      nullable: true,
      description: 'Who runs or ran it last.',
      resolve: ({ workerId }, _args, { loaders }) => (workerId === null ? null : loaders.worker.load(workerId)),
    }),
  }),
});

export const BuildConnection = builder.connectionObject(
  {
    type: BuildRef,
    name: 'BuildConnection',
    description: 'One page of builds.',
    fields: (t) => ({
      totalCount: t.int({
        description: 'All builds of the list, on every page.',
        resolve: (connection) => (connection as unknown as Counted).totalCount(),
      }),
    }),
  },
  { name: 'BuildEdge', description: 'A build in a list.' },
);

/** The builds of one parent; the pages of many parents are read together. */
export async function childBuilds(
  { loaders }: Context,
  parent: string,
  { args, direction, query }: { args: PageArguments; direction: 'asc' | 'desc'; query: BuildsQuery },
) {
  const request = pageRequest(args, UUID_CURSOR, direction);
  const rows = await loaders.builds.load({ parent, query, keyset: request.keyset });
  const totalCount = () => loaders.buildCount.load({ parent, query });
  return { ...toConnection(request, rows, (build) => build.id), totalCount };
}

builder.objectFields(BuildRef, (t) => ({
  retries: t.connection(
    {
      type: BuildRef,
      description: 'Builds that repeat this one, oldest first.',
      complexity: pageComplexity,
      resolve: ({ id }, args, context) =>
        childBuilds(context, id, { args, direction: 'asc', query: { by: 'retry_of', filter: {} } }),
    },
    BuildConnection,
  ),
  supersedes: t.connection(
    {
      type: BuildRef,
      description: 'Builds that ended because of this one, oldest first.',
      complexity: pageComplexity,
      resolve: ({ id }, args, context) =>
        childBuilds(context, id, { args, direction: 'asc', query: { by: 'superseded_by', filter: {} } }),
    },
    BuildConnection,
  ),
  artifacts: t.connection(
    {
      type: ArtifactRef,
      description: 'Files that were kept, in the order in which they were found.',
      complexity: pageComplexity,
      resolve: async ({ id }, args, { loaders }) => {
        const request = pageRequest(args, UUID_CURSOR, 'asc');
        const rows = await loaders.artifacts.load({ parent: id, query: null, keyset: request.keyset });
        return toConnection(request, rows, (artifact) => artifact.id);
      },
    },
    { name: 'ArtifactConnection', description: 'One page of artifacts.' },
    { name: 'ArtifactEdge', description: 'An artifact in a list.' },
  ),
}));

builder.queryFields((t) => ({
  build: t.field({
    type: BuildRef,
    nullable: true,
    description: 'The build with this id; null when there is none.',
    authScopes: { scope: 'builds:read' },
    args: { id: t.arg.id({ required: true, description: 'Its id: `build_…`.' }) },
    resolve: (_root, { id }, context) => findBuildById(context, id),
  }),
  buildByIdempotencyKey: t.field({
    type: BuildRef,
    nullable: true,
    description: 'The build that was started with this key; null when there is none.',
    authScopes: { scope: 'builds:read' },
    args: {
      projectId: t.arg.id({ required: true, description: 'The project: keys are unique in it.' }),
      key: t.arg.string({ required: true, description: 'The idempotency key.' }),
    },
    resolve: async (_root, { projectId, key }, context) => {
      checkText(key, ['key']);
      const project = await findProjectById(context, projectId);
      if (!project) return null;
      return findBuildByIdempotencyKey(context.orchestrator.db, { projectId: project.id, idempotencyKey: key });
    },
  }),
  builds: t.connection(
    {
      type: BuildRef,
      description: 'Builds, newest first.',
      authScopes: { scope: 'builds:read' },
      complexity: pageComplexity,
      args: {
        filter: t.arg({ type: BuildFilterInput, description: 'Which ones.' }),
        orderBy: t.arg({ type: BuildOrderInput, description: 'In which order.' }),
      },
      resolve: (_root, args, context) =>
        allBuilds(context, args, { filter: toBuildFilter(context.viewer, args.filter), orderBy: args.orderBy }),
    },
    BuildConnection,
  ),
}));

async function allBuilds(
  { loaders, orchestrator: { db } }: Context,
  args: PageArguments,
  { filter, orderBy }: { filter: BuildFilter; orderBy: Parameters<typeof orderDirection>[0] },
) {
  const request = pageRequest(args, UUID_CURSOR, orderDirection(orderBy));
  const rows = await listBuildsTogether(db, filter, request.keyset);
  for (const build of rows) loaders.build.prime(build.id, build);
  return {
    ...toConnection(request, rows, (build: BuildSummary) => build.id),
    totalCount: () => countBuilds(db, filter),
  };
}

function found<T>(value: T | null): T {
  if (value === null) throw new Error('a build that may be seen belongs to a project that may be seen');
  return value;
}
