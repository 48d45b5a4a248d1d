/** Statistics of builds. */

import type { BuildFilter } from '../src/builds/filter-builds.ts';
import { asAnalyst } from '../src/stats/analysts.ts';
import { MAX_BUCKETS, readBuildSeries, type STATS_BUCKETS, type StatsPoint } from '../src/stats/build-series.ts';
import { type BuildStats, EXACT_BUILDS, readBuildStats } from '../src/stats/build-stats.ts';
import { DateTimeRangeInput, toBuildFilter } from './build-filter.ts';
import { LabelInput } from './build-spec.ts';
import { builder } from './builder.ts';
import { STATS_COMPLEXITY } from './limits.ts';

const BuildStatsFilterInput = builder.inputType('BuildStatsFilter', {
  description: 'Which builds are counted: every member that is present narrows it.',
  fields: (t) => ({
    projectId: t.id({ description: 'Builds of this project.' }),
    provider: t.stringList({ description: 'Any of these agents.' }),
    template: t.string({ description: '`name@version`, or `name` for every version.' }),
    label: t.field({ type: [LabelInput], description: 'All of these labels.' }),
    createdAt: t.field({ type: DateTimeRangeInput, description: 'Accepted in this range.' }),
  }),
});

/** Read once, and only when a figure is asked for that is not in the series. */
class LazyStats {
  readonly filter: BuildFilter;
  readonly #read: () => Promise<BuildStats>;
  #stats: Promise<BuildStats> | null = null;

  constructor(filter: BuildFilter, read: () => Promise<BuildStats>) {
    this.filter = filter;
    this.#read = read;
  }

  get(): Promise<BuildStats> {
    this.#stats ??= this.#read();
    return this.#stats;
  }
}

const FigureType = builder.interfaceRef<BuildStats | LazyStats>('BuildFigures').implement({
  description: 'What became of some builds. A figure is null when no build has it.',
  fields: (t) => {
    const count = (name: 'total' | 'completed' | 'failed' | 'cancelled' | 'pending' | 'running', description: string) =>
      t.int({ description, resolve: async (stats) => (await figures(stats))[name] });
    const figure = (name: keyof BuildStats, description: string) =>
      t.float({ nullable: true, description, resolve: async (stats) => (await figures(stats))[name] });
    return {
      total: count('total', 'All of them.'),
      completed: count('completed', 'Ended well.'),
      failed: count('failed', 'Ended badly.'),
      cancelled: count('cancelled', 'Ended because somebody asked for it.'),
      pending: count('pending', 'Waiting.'),
      running: count('running', 'Running.'),
      successRate: figure('successRate', 'completed / (completed + failed), 0 to 1.'),
      averageDurationMs: figure('averageDurationMs', 'Milliseconds from the first claim to the end, if not cancelled.'),
      p50DurationMs: figure(
        'p50DurationMs',
        `Half of them were as fast as this: exact for up to ${EXACT_BUILDS} builds and for those of labels, else within 2 %.`,
      ),
      p95DurationMs: figure('p95DurationMs', '95 of 100 were as fast as this, as exact as p50DurationMs.'),
      averageWaitMs: figure('averageWaitMs', 'Milliseconds from when they could start to the first claim.'),
      totalCostUsd: figure('totalCostUsd', 'US dollars, as far as the agents report them.'),
    };
  },
});

function figures(stats: BuildStats | LazyStats): Promise<BuildStats> | BuildStats {
  return stats instanceof LazyStats ? stats.get() : stats;
}

const BuildStatsPointRef = builder.objectRef<StatsPoint>('BuildStatsPoint').implement({
  description: 'The builds that were accepted in one hour, day or week.',
  interfaces: [FigureType],
  fields: (t) => ({ start: t.expose('start', { type: 'DateTime', description: 'Where it begins.' }) }),
});

const StatsBucketEnum = builder.enumType('StatsBucket', {
  description: 'How long one point of a series is.',
  values: {
    HOUR: { description: 'An hour.' },
    DAY: { description: 'A day of the time zone: 23 or 25 hours when its clocks change.' },
    WEEK: { description: 'A week of the time zone, from Monday.' },
  } satisfies Record<(typeof STATS_BUCKETS)[number], { description: string }>,
});

const BuildStatsRef = builder.objectRef<LazyStats>('BuildStats').implement({
  description: 'What became of the builds that a filter names.',
  interfaces: [FigureType],
  fields: (t) => ({
    series: t.field({
      type: [BuildStatsPointRef],
      description: `The same figures over time: one point for each bucket, empty ones too, at most ${MAX_BUCKETS}.`,
      complexity: { field: STATS_COMPLEXITY, multiplier: 20 },
      args: {
        bucket: t.arg({ type: StatsBucketEnum, required: true, description: 'How long one point is.' }),
        timeZone: t.arg.string({
          required: true,
          defaultValue: 'UTC',
          description: 'Whose days and weeks: an IANA name such as `Europe/Berlin`.',
        }),
      },
      resolve: ({ filter }, { bucket, timeZone }, { orchestrator: { statsDb } }) =>
        asAnalyst(() => readBuildSeries(statsDb, filter, { bucket, timeZone })),
    }),
  }),
});

builder.queryFields((t) => ({
  buildStats: t.field({
    type: BuildStatsRef,
    description:
      'What became of builds, counted. What takes too long is given up with the code TOO_SLOW: then ask for less.',
    authScopes: { scope: 'stats:read' },
    complexity: STATS_COMPLEXITY,
    args: { filter: t.arg({ type: BuildStatsFilterInput, description: 'Which builds.' }) },
    resolve: (_root, args, { orchestrator: { statsDb }, viewer }) => {
      const filter = toBuildFilter(viewer, args.filter);
      return new LazyStats(filter, () => asAnalyst(() => readBuildStats(statsDb, filter)));
    },
  }),
}));
