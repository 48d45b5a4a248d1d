/** The state of the queue, and how it changes. */
import { LEASE_SECONDS } from '../src/builds/lease.ts';
import { InvalidInputError } from '../src/errors.ts';
import {
  countWaits,
  type QueueFigures,
  type QueueGrouping,
  type QueueShare,
  readQueueShares,
  readQueueStats,
  type WaitCount,
} from '../src/stats/queue-stats.ts';
import type { QueueFrame } from '../src/stats/queue-watch.ts';
import { toPublicId } from '../src/std/public-id.ts';
import { toBuildFilter } from './build-filter.ts';
import { LabelInput } from './build-spec.ts';
import { WaitingReasonCodeEnum } from './build-wait.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import { checkText } from './check-text.ts';
import type { Context } from './context.ts';
import { requireProject } from './ids.ts';
import { DEFAULT_PAGE, MAX_PAGE, STATS_COMPLEXITY } from './limits.ts';
import { ProjectRef } from './refs.ts';

const QueueStatsFilterInput = builder.inputType('QueueStatsFilter', {
  description: 'Which builds are counted: every member that is present narrows it.',
  fields: (t) => ({
    projectId: t.id({ description: 'Builds of this project.' }),
    provider: t.stringList({ description: 'Any of these agents.' }),
    label: t.field({ type: [LabelInput], description: 'All of these labels.' }),
  }),
});

const QueueFiguresType = builder.interfaceRef<QueueFigures | QueueFrame>('QueueFigures').implement({
  description: 'How many builds wait and run, and how fast it goes. A figure is null when no build has it.',
  fields: (t) => ({
    waiting: t.int({ description: 'Builds that could start now.', resolve: (q) => figuresOf(q).waiting }),
    scheduled: t.int({
      description: 'Builds whose time (runAfter) has not come.',
      resolve: (q) => figuresOf(q).scheduled,
    }),
    running: t.int({ description: 'Builds that run.', resolve: (q) => figuresOf(q).running }),
    oldestQueuedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the oldest of the waiting builds was accepted.',
      resolve: (q) => figuresOf(q).oldestQueuedAt,
    }),
    throughputPerMinute: t.float({
      description: 'Builds that ended in the last ten minutes, divided by ten.',
      resolve: (q) => figuresOf(q).throughputPerMinute,
    }),
    averageWaitMs: t.float({
      nullable: true,
      description: 'Milliseconds that the builds had waited that were claimed in the last ten minutes.',
      resolve: (q) => figuresOf(q).averageWaitMs,
    }),
    waitP50Ms: t.float({
      nullable: true,
      description: 'Half of these had waited for no longer than this.',
      resolve: (q) => figuresOf(q).waitP50Ms,
    }),
    waitP95Ms: t.float({
      nullable: true,
      description: '95 of 100 of these had waited for no longer than this.',
      resolve: (q) => figuresOf(q).waitP95Ms,
    }),
  }),
});

function figuresOf(queue: QueueFigures | QueueFrame): QueueFigures {
  return 'stats' in queue ? queue.stats : queue;
}

const ProjectShareRef = builder.objectRef<QueueShare>('ProjectQueueFigures').implement({
  description: 'The queue of one project.',
  interfaces: [QueueFiguresType],
  fields: (t) => ({
    projectId: t.id({ description: 'The project.', resolve: ({ name }) => toPublicId('project', name) }),
    project: t.field({
      type: ProjectRef,
      nullable: true,
      description: 'The same; it needs `builds:read`.',
      authScopes: { scope: 'builds:read' },
      resolve: ({ name }, _args, { loaders }) => loaders.project.load(name),
    }),
  }),
});

const ProviderShareRef = builder.objectRef<QueueShare>('ProviderQueueFigures').implement({
  description: 'The queue of one agent.',
  interfaces: [QueueFiguresType],
  fields: (t) => ({ provider: t.exposeString('name', { description: 'Which agent.' }) }),
});

const LabelShareRef = builder.objectRef<QueueShare>('LabelQueueFigures').implement({
  description: 'The builds of which a label has one value.',
  interfaces: [QueueFiguresType],
  fields: (t) => ({ value: t.exposeString('name', { description: 'Its value.' }) }),
});

const WaitCountRef = builder.objectRef<WaitCount>('QueueWaitCount').implement({
  description: 'How many builds wait for the same reason.',
  fields: (t) => ({
    code: t.field({ type: WaitingReasonCodeEnum, description: 'The reason.', resolve: ({ code }) => code }),
    count: t.exposeInt('count', { description: 'How many.' }),
  }),
});

const SHARES = { field: STATS_COMPLEXITY, multiplier: 5 };

const QueueStatsRef = builder.objectRef<QueueFrame>('QueueStats').implement({
  description: 'How the queue is doing right now.',
  interfaces: [QueueFiguresType],
  fields: (t) => {
    const first = t.arg.int({
      defaultValue: DEFAULT_PAGE,
      required: true,
      description: `How many at most, 1 to ${MAX_PAGE}.`,
    });
    return {
      workersOnline: t.int({ description: 'Workers that take builds.', resolve: ({ stats }) => stats.workersOnline }),
      byReason: t.field({
        type: [WaitCountRef],
        description: 'All builds that wait, also for their time, by why they do: the most frequent reason first.',
        complexity: { ...EMBEDDED_LIST, field: STATS_COMPLEXITY },
        resolve: ({ filter }, _args, { orchestrator: { db } }) => countWaits(db, filter),
      }),
      byProject: t.field({
        type: [ProjectShareRef],
        description:
          'The projects for which most waits first; those for which nothing waits, runs or has just ended are left out.',
        complexity: SHARES,
        args: { first },
        resolve: (frame, args, context) => sharesOf(frame, { by: 'project' }, { ...args, context }),
      }),
      byProvider: t.field({
        type: [ProviderShareRef],
        description: 'The same by agent.',
        complexity: SHARES,
        args: { first },
        resolve: (frame, args, context) => sharesOf(frame, { by: 'provider' }, { ...args, context }),
      }),
      byLabel: t.field({
        type: [LabelShareRef],
        description: 'The same by the value of a label; builds without it are left out.',
        complexity: SHARES,
        args: { first, key: t.arg.string({ required: true, description: 'Which label.' }) },
        resolve: (frame, { key, ...args }, context) => {
          checkText(key, ['key']);
          return sharesOf(frame, { by: 'label', key }, { ...args, context });
        },
      }),
    };
  },
});

function sharesOf(
  { filter }: QueueFrame,
  grouping: QueueGrouping,
  { first, context }: { readonly first: number; readonly context: Context },
): Promise<QueueShare[]> {
  if (first < 1 || first > MAX_PAGE) {
    throw new InvalidInputError([{ path: ['first'], message: `must be between 1 and ${MAX_PAGE}` }]);
  }
  return readQueueShares(context.orchestrator.db, { filter, grouping, limit: first });
}

builder.queryField('queueStats', (t) =>
  t.field({
    type: QueueStatsRef,
    description: 'How the queue is doing right now.',
    authScopes: { scope: 'stats:read' },
    complexity: STATS_COMPLEXITY,
    args: { filter: t.arg({ type: QueueStatsFilterInput, description: 'Which builds are counted.' }) },
    resolve: async (_root, args, { orchestrator: { db }, viewer }) => {
      const { projectIds = null, providers = null, labels = null } = toBuildFilter(viewer, args.filter);
      const filter = { projectIds, providers, labels };
      return { filter, stats: await readQueueStats(db, { filter, workerTimeoutSeconds: LEASE_SECONDS }) };
    },
  }),
);

builder.subscriptionField('queueActivity', (t) =>
  t.field({
    type: QueueStatsRef,
    description:
      'The state of the queue: at once, and again whenever its figures have changed, at most twice a second. It has no ' +
      'cursor: who comes back is told how it is now. It does not end by itself.',
    authScopes: { scope: 'stats:read' },
    complexity: STATS_COMPLEXITY,
    args: { projectId: t.arg.id({ description: 'Of this project only.' }) },
    subscribe: async (_root, { projectId }, context) => {
      const { orchestrator, viewer } = context;
      if (projectId === null || projectId === undefined) return orchestrator.watchQueue(viewer.projectIds);
      return orchestrator.watchQueue([(await requireProject(context, projectId)).id]);
    },
    resolve: (frame) => frame,
  }),
);
