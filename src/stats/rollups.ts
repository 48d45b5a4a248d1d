/**
 * Figures of builds without reading the builds: rollups of finished ones, what is not folded into these yet, and rows only
 * of what is not finished and of the ragged ends of a range.
 */
import { type RawBuilder, sql } from 'kysely';
import { type BuildFilter, isTemplate } from '../builds/filter-builds.ts';
import type { Database } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import type { BuildStats } from './build-stats.ts';
import type { RollupPlan } from './plan-rollups.ts';

const NEVER = '-infinity';
const FOREVER = 'infinity';
const NIL = '00000000-0000-0000-0000-000000000000';

/** As in `build_stats_bin`. */
const BIN_BASE = 1.04;
/** No bigint is in a later one. */
const MOST_BINS = 1_100;

/** One of a plan's points, by its number. */
export interface Point extends BuildStats {
  readonly point: number;
}

/** Times are sums of milliseconds. */
interface PointSums extends Pick<BuildStats, 'total' | 'completed' | 'failed' | 'cancelled' | 'pending' | 'running'> {
  readonly filled: boolean;
  /** From 1; null of a row without any. */
  readonly point: number | null;
  readonly durations: number;
  readonly duration_ms: number;
  readonly waits: number;
  readonly wait_ms: number;
  readonly costs: number;
  readonly cost_micros: number;
  /** The histogram of durations: `{7,8},{7}`, bins in no order, several times each; and how many more or less each holds. */
  readonly bins: string | null;
  readonly counts: string | null;
}

/**
 * The figures of each point that has builds; percentiles are within 2 % of exact ones. Null while the rollups are not filled:
 * an earlier version had builds and they are not all counted yet.
 */
export async function readRollups(db: Database, plan: RollupPlan): Promise<Point[] | null> {
  const { filter, scope, starts, covered, pieces } = plan;
  const { projectIds = null, providers = null, template = null, createdFrom, createdTo } = filter;
  const points = starts.length === 0 ? [NEVER] : starts.map((start) => start.toISOString());
  const { rows } = await sql<PointSums>`${sql.raw(PREPARED)}
    select filled, figures.* from build_stats_state left join lateral read_build_stats(
      ${scope.name}, ${projectIds}, ${providers}, ${template}, ${points}, ${first(createdFrom)}, ${last(createdTo)},
      ${first(covered.from)}, ${last(covered.to)}, ${pieces.map(({ level }) => level)},
      ${pieces.map(({ from }) => first(from))}, ${pieces.map(({ to }) => last(to))}, ${pieces.map(({ sign }) => sign)},
      ${pieces.map(({ point }) => (point === null ? null : point + 1))}) figures on true`.execute(db);
  const held = new Float64Array(MOST_BINS);
  return rows[0]?.filled ? rows.flatMap((row) => toPoint(row, held) ?? []) : null;
}

function first(time: Date | null | undefined): string {
  return time?.toISOString() ?? NEVER;
}

function last(time: Date | null | undefined): string {
  return time?.toISOString() ?? FOREVER;
}

function toPoint(sums: PointSums, held: Float64Array): Point | null {
  if (sums.point === null) return null;
  const { total, completed, failed, cancelled, pending, running } = sums;
  const percentile = readHistogram(sums, held);
  const average = (sum: number, count: number) => (count > 0 ? sum / count : null);
  return {
    point: sums.point - 1,
    total,
    completed,
    failed,
    cancelled,
    pending,
    running,
    successRate: average(completed, completed + failed),
    averageDurationMs: average(sums.duration_ms, sums.durations),
    p50DurationMs: percentile(0.5),
    p95DurationMs: percentile(0.95),
    averageWaitMs: average(sums.wait_ms, sums.waits),
    totalCostUsd: sums.costs > 0 ? sums.cost_micros / 1e6 : null,
  };
}

/** Gives percentiles: between two builds they are interpolated, as `percentile_cont` does. `held` is overwritten. */
function readHistogram(
  { bins, counts }: Pick<PointSums, 'bins' | 'counts'>,
  held: Float64Array,
): (share: number) => number | null {
  const [places, added] = [readList(bins), readList(counts)];
  held.fill(0);
  let sum = 0;
  for (let index = 0; index < places.length; index += 1) {
    const [bin, count] = [places[index] ?? 0, added[index] ?? 0];
    held[bin] = (held[bin] ?? 0) + count;
    sum += count;
  }
  return (share) => {
    if (sum <= 0) return null;
    const place = (sum - 1) * share;
    const low = binMs(findBin(held, Math.floor(place)));
    return low + (binMs(findBin(held, Math.ceil(place))) - low) * (place - Math.floor(place));
  };
}

function readList(text: string | null): number[] {
  return JSON.parse(`[${text?.replaceAll(/[{}]/g, '') ?? ''}]`);
}

/** The bin of the duration than which so many are shorter. */
function findBin(held: Float64Array, place: number): number {
  let rank = 0;
  let bin = -1;
  while (rank <= place && bin < held.length) {
    bin += 1;
    rank += held[bin] ?? 0;
  }
  return bin;
}

/** What stands for all durations of a bin, within 2 %. */
function binMs(bin: number): number {
  return bin === 0 ? 0 : BIN_BASE ** (bin - 0.5);
}

/** When the first of the plan's builds was accepted, whenever that was. Null while the rollups are not filled. */
export async function readFirst(
  db: Database,
  { filter, scope }: RollupPlan,
): Promise<{ readonly first: Date | null; readonly now: Date } | null> {
  const { projectIds, ...parts } = filter;
  const builds = sql`select min(created_at) from build_audit where ${isCounted(filter)}`;
  const { rows } = await sql<{ filled: boolean; first: Date | null; now: Date }>`${sql.raw(PREPARED)}
    select filled, now(), least(
        (${builds} and finished_at is null),
        (select min(created_at) from (select created_at from build_stats_deltas
          where ${isCounted(filter)} group by created_at having sum(n) > 0) noted),
        -- Its own time: the builds of its bucket are few.
        (${builds} and finished_at is not null and created_at >= earliest
          and created_at < earliest + make_interval(hours => ${scope.levels[0] === 'HOUR' ? 1 : 24}::int))) as first
      from build_stats_state left join lateral (
        select min(bucket) as earliest from build_stats
         where scope = ${scope.name} and project_id = any(${projectIds ?? [NIL]}::uuid[])
           and level = ${scope.levels[0]} and ${isCounted(parts)} and completed + failed + cancelled > 0
      ) rolled on true`.execute(db);
  return rows[0]?.filled ? rows[0] : null;
}

function isCounted({ projectIds, providers, template }: BuildFilter): RawBuilder<boolean> {
  const tests = [
    projectIds ? sql`project_id = any(${projectIds}::uuid[])` : sql`true`,
    providers ? sql`provider = any(${providers}::text[])` : sql`true`,
    template === null || template === undefined ? sql`true` : isTemplate(template),
  ];
  return sql<boolean>`(${sql.join(tests, sql` and `)})`;
}
