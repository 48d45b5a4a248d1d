/**
 * Figures of builds without reading the builds: rollups of finished ones, what is not folded into these yet, and rows only
 * of what is not finished and of the ragged ends of a range.
 */
import { type RawBuilder, sql } from 'kysely';
import { type BuildFilter, isTemplate } from '../builds/filter-builds.ts';
import type { Database } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import type { BuildStats } from './build-stats.ts';

/** Of UTC. */
export type Level = 'HOUR' | 'DAY' | 'MONTH';

const LEVELS: readonly Level[] = ['HOUR', 'DAY', 'MONTH'];
/** Hours, days, months, days, hours. */
const MOST_PIECES = 5;
const NEVER = '-infinity';
const FOREVER = 'infinity';
const NIL = '00000000-0000-0000-0000-000000000000';

interface Scope {
  readonly name: 'ALL' | 'PROVIDER' | 'TEMPLATE' | 'PARTS' | 'PROJECT' | 'PROJECT_PARTS';
  /** The shortest first. */
  readonly levels: readonly Level[];
}

/** Rollups of one level whose buckets begin in this range; null is open. */
interface Piece {
  readonly level: Level;
  readonly from: Date | null;
  readonly to: Date | null;
}

export interface RollupPlan {
  readonly filter: BuildFilter;
  readonly scope: Scope;
  /** One after the other, without gaps. What the filter's range has before and after them is counted by rows. */
  readonly pieces: readonly Piece[];
}

/** What the figures of one group of builds are called by: when it began. */
export type PointOf = (time: RawBuilder<unknown>) => RawBuilder<unknown>;

export interface Point extends BuildStats {
  readonly point: Date;
}

/**
 * How rollups answer this filter: the one place that decides. Null when they cannot: for what they do not know, such as labels,
 * and for ranges that are shorter than their buckets. `longest`: rollups of this length fit into what is asked for.
 */
export function planRollups(filter: BuildFilter, longest: Level): RollupPlan | null {
  const scope = findScope(filter);
  const levels = scope?.levels.filter((level) => LEVELS.indexOf(level) <= LEVELS.indexOf(longest)) ?? [];
  if (!scope || levels.length === 0) return null;
  const pieces = cutRange({ from: filter.createdFrom ?? null, to: filter.createdTo ?? null }, levels);
  return pieces.length === 0 ? null : { filter, scope, pieces };
}

function findScope(filter: BuildFilter): Scope | null {
  const { projectIds, providers, template, statuses, sources, branch, number, labels } = filter;
  const free = [statuses, sources, branch, number, labels?.length === 0 ? null : labels];
  // In rollups the empty name stands for builds without a template.
  if (free.some(isPresent) || template === '') return null;
  const byTemplate = isPresent(template);
  if (projectIds && (providers || byTemplate)) return { name: 'PROJECT_PARTS', levels: ['DAY'] };
  if (projectIds) return { name: 'PROJECT', levels: LEVELS };
  if (providers && byTemplate) return { name: 'PARTS', levels: LEVELS };
  if (providers) return { name: 'PROVIDER', levels: LEVELS };
  return { name: byTemplate ? 'TEMPLATE' : 'ALL', levels: LEVELS };
}

function isPresent<T>(member: T): member is NonNullable<T> {
  return member !== null && member !== undefined;
}

/** The longest buckets that fit, shorter ones before and after them. */
function cutRange({ from, to }: Omit<Piece, 'level'>, [level, ...longer]: readonly Level[]): Piece[] {
  if (!level) return [];
  const first = from && bucketOf(new Date(bucketOf(from, level) < from ? nextBucket(from, level) : from), level);
  const last = to && bucketOf(to, level);
  if (first && last && first >= last) return [];
  const inner = cutRange({ from: first, to: last }, longer);
  const [begin, end] = [inner[0], inner.at(-1)];
  if (!begin || !end) return [{ level, from: first, to: last }];
  return [
    ...(first && begin.from && first < begin.from ? [{ level, from: first, to: begin.from }] : []),
    ...inner,
    ...(last && end.to && end.to < last ? [{ level, from: end.to, to: last }] : []),
  ];
}

function bucketOf(time: Date, level: Level): Date {
  const [year, month, day, hour] = [
    time.getUTCFullYear(),
    time.getUTCMonth(),
    time.getUTCDate(),
    time.getUTCHours(),
  ] as const;
  if (level === 'MONTH') return new Date(Date.UTC(year, month));
  return new Date(level === 'DAY' ? Date.UTC(year, month, day) : Date.UTC(year, month, day, hour));
}

function nextBucket(time: Date, level: Level): Date {
  const start = bucketOf(time, level);
  if (level === 'MONTH') return new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1));
  return new Date(+start + (level === 'DAY' ? 24 : 1) * 3_600_000);
}

/**
 * The figures of each point that has builds; percentiles are within 2 % of exact ones. Null while the rollups are not filled:
 * an earlier version had builds and they are not all counted yet.
 */
export async function readRollups(db: Database, plan: RollupPlan, point: PointOf): Promise<Point[] | null> {
  // To plan it takes ten times as long as to run it: its text does not depend on the range.
  const { rows } = await sql<Point & { filled: boolean }>`${sql.raw(PREPARED)}
    with fact as (${facts(plan, point)}), roll as (${rollups(plan, point)}), held as (
      select point, build_stats_bin(duration_ms) as bin, n from fact where duration_ms is not null
      union all select point, unnest(bins), unnest(counts) from roll
    ), ranked as (
      select point, bin, sum(sum(n)) over (partition by point order by bin) as rank,
             sum(sum(n)) over (partition by point) - 1 as last
        from held group by point, bin
    ), placed as (
      -- Between two builds it is interpolated, as percentile_cont does.
      select point, ${percentile(0.5)} as p50, ${percentile(0.95)} as p95 from ranked group by point, last
    ), part as (
      select point, n as total, case when status = 'COMPLETED' then n else 0 end as completed,
             case when status = 'FAILED' then n else 0 end as failed,
             case when status = 'CANCELLED' then n else 0 end as cancelled,
             case when status = 'PENDING' then n else 0 end as pending,
             case when status = 'RUNNING' then n else 0 end as running,
             case when duration_ms is null then 0 else n end as durations, n * duration_ms as duration_ms,
             case when wait_ms is null then 0 else n end as waits, n * wait_ms as wait_ms,
             case when cost_micros is null then 0 else n end as costs, n * cost_micros as cost_micros from fact
      union all
      select point, completed + failed + cancelled, completed, failed, cancelled, 0, 0, durations, duration_ms, waits,
             wait_ms, costs, cost_micros from roll
    ), counted as (
      select point, sum(total)::bigint as total, sum(completed)::bigint as completed, sum(failed)::bigint as failed,
             sum(cancelled)::bigint as cancelled, sum(pending)::bigint as pending, sum(running)::bigint as running,
             sum(completed)::float8 / nullif(sum(completed) + sum(failed), 0)::float8 as "successRate",
             sum(duration_ms)::float8 / nullif(sum(durations), 0)::float8 as "averageDurationMs",
             sum(wait_ms)::float8 / nullif(sum(waits), 0)::float8 as "averageWaitMs",
             case when sum(costs) > 0 then sum(cost_micros)::float8 / 1e6 end as "totalCostUsd"
        from part group by point
    )
    select counted.*, p50 as "p50DurationMs", p95 as "p95DurationMs", filled
      from build_stats_state left join (counted left join placed using (point)) on true`.execute(db);
  if (!rows[0]?.filled) return null;
  return rows.filter(({ total }) => total > 0).map(({ filled: _, ...figures }) => figures);
}

/** When the first of the plan's builds was accepted, whenever that was. Null while the rollups are not filled. */
export async function readFirst(
  db: Database,
  { filter, scope }: RollupPlan,
): Promise<{ readonly first: Date | null; readonly now: Date } | null> {
  const { projectIds, ...parts } = filter;
  const builds = sql`select min(created_at) from build_audit where ${isCounted(filter)}`;
  const { rows } = await sql<{ filled: boolean; first: Date | null; now: Date }>`
    select filled, now(), least(
        (${builds} and finished_at is null),
        (select min(created_at) from (select created_at from build_stats_deltas
          where ${isCounted(filter)} group by created_at having sum(n) > 0) noted),
        -- Its own time: the builds of its bucket are few.
        (${builds} and finished_at is not null and created_at >= earliest
          and created_at < earliest + make_interval(hours => ${scope.levels[0] === 'HOUR' ? 1 : 24}))) as first
      from build_stats_state left join lateral (
        select min(bucket) as earliest from build_stats
         where scope = ${scope.name} and project_id = any(${projectIds ?? [NIL]}::uuid[])
           and level = ${scope.levels[0] ?? 'DAY'} and ${isCounted(parts)} and completed + failed + cancelled > 0
      ) rolled on true`.execute(db);
  return rows[0]?.filled ? rows[0] : null;
}

/** Of what is counted one by one: n is -1 of a build that a rollup has and that is gone. */
function facts({ filter, pieces }: RollupPlan, point: PointOf): RawBuilder<unknown> {
  const { createdFrom = null, createdTo = null } = filter;
  const [first, last] = [pieces[0]?.from ?? null, pieces.at(-1)?.to ?? null];
  const build = sql`
    select ${point(sql.ref('created_at'))} as point, status, 1 as n,
           build_duration_ms(status, started_at, finished_at) as duration_ms,
           build_wait_ms(created_at, run_after, started_at) as wait_ms, build_cost_micros(usage) as cost_micros
      from build_audit where ${isCounted(filter)}`;
  const parts = [
    sql`${build} and finished_at is null and ${isBetween(createdFrom, createdTo)}`,
    sql`select ${point(sql.ref('created_at'))}, status, n, duration_ms, wait_ms, cost_micros from build_stats_deltas
         where ${isCounted(filter)} and ${isBetween(first, last)}`,
    sql`${build} and finished_at is not null and ${isBetween(first && createdFrom, first ?? NEVER)}`,
    sql`${build} and finished_at is not null and ${isBetween(last ?? FOREVER, last && createdTo)}`,
  ];
  return sql.join(parts, sql` union all `);
}

function rollups({ filter, scope, pieces }: RollupPlan, point: PointOf): RawBuilder<unknown> {
  const { projectIds, ...parts } = filter;
  const rows = Array.from({ length: MOST_PIECES }, (_, index) => {
    const { level, from, to } = pieces[index] ?? { level: 'DAY', from: FOREVER, to: NEVER };
    return sql`(${level}::text, ${from ?? NEVER}::timestamptz(3), ${to ?? FOREVER}::timestamptz(3))`;
  });
  return sql`
    select ${point(sql.ref('bucket'))} as point, completed, failed, cancelled, durations, duration_ms, waits, wait_ms,
           costs, cost_micros, bins, counts
      from (values ${sql.join(rows)}) piece (of_level, first, last)
      join build_stats on scope = ${scope.name} and project_id = any(${projectIds ?? [NIL]}::uuid[])
                      and level = of_level and bucket >= first and bucket < last
     where ${isCounted(parts)}`;
}

function isCounted({ projectIds, providers, template }: BuildFilter): RawBuilder<boolean> {
  const tests = [
    projectIds ? sql`project_id = any(${projectIds}::uuid[])` : sql`true`,
    providers ? sql`provider = any(${providers}::text[])` : sql`true`,
    isPresent(template) ? isTemplate(template) : sql`true`,
  ];
  return sql<boolean>`(${sql.join(tests, sql` and `)})`;
}

function isBetween(from: Date | string | null, to: Date | string | null): RawBuilder<boolean> {
  return sql<boolean>`created_at >= ${from ?? NEVER}::timestamptz and created_at < ${to ?? FOREVER}::timestamptz`;
}

function percentile(fraction: number): RawBuilder<unknown> {
  const at = sql`(last * ${sql.lit(fraction)}::float8)`;
  const of = (place: RawBuilder<unknown>) =>
    sql`build_stats_bin_ms(min(bin) filter (where rank > ${place}::float8::numeric))`;
  const low = of(sql`floor(${at})`);
  return sql`${low} + (${of(sql`ceil(${at})`)} - ${low}) * (${at} - floor(${at}))`;
}
