/** Build statistics by hour, day or week, as people of a time zone count them. */
import { type RawBuilder, sql } from 'kysely';
import type { BuildFilter } from '../builds/filter-builds.ts';
import type { Database } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import { InvalidInputError } from '../errors.ts';
import { areMany, type BuildStats, checkRange, countedBuilds, STATS_COLUMNS } from './build-stats.ts';
import { planRollups } from './plan-rollups.ts';
import { readFirst, readRollups } from './rollups.ts';

export const STATS_BUCKETS = ['HOUR', 'DAY', 'WEEK'] as const;
/** A week begins on Monday. */
type StatsBucket = (typeof STATS_BUCKETS)[number];

/** Points of one series. */
export const MAX_BUCKETS = 2_000;

export interface SeriesOptions {
  readonly bucket: StatsBucket;
  /** An IANA name such as `Europe/Berlin`, or `UTC`. */
  readonly timeZone: string;
}

/** The builds that were created from `start` on and before the next point's start. */
export interface StatsPoint extends BuildStats {
  readonly start: Date;
}

const HOUR_MS = 3_600_000;
const A_MONDAY = Date.UTC(1970, 0, 5);

/**
 * `lengthMs` is the shortest that a bucket can be. Stepping by `step`, which is shorter, meets every bucket of every
 * time zone: days of 23 and 25 hours, zones at 30 and 45 minutes, and days that a zone left out.
 */
const BUCKETS: Readonly<Record<StatsBucket, { unit: string; step: string; lengthMs: number }>> = {
  HOUR: { unit: 'hour', step: '15 minutes', lengthMs: HOUR_MS },
  DAY: { unit: 'day', step: '12 hours', lengthMs: 24 * HOUR_MS },
  WEEK: { unit: 'week', step: '3 days', lengthMs: 7 * 24 * HOUR_MS },
};

/**
 * One point for every bucket of the filter's time range, empty ones too; without a range from the first build to now.
 * Throws InvalidInputError for an unknown time zone (path `timeZone`), an empty range, or too many buckets.
 */
export async function readBuildSeries(
  db: Database,
  filter: BuildFilter,
  { bucket, timeZone }: SeriesOptions,
): Promise<StatsPoint[]> {
  checkRange(filter, ['filter', 'createdAt']);
  checkTimeZone(timeZone);
  const range = await resolveRange(db, filter);
  if (!range) return [];
  const { unit, step, lengthMs } = BUCKETS[bucket];
  if ((range.to.getTime() - range.from.getTime()) / lengthMs > MAX_BUCKETS - 2) {
    const message = `gives more than ${MAX_BUCKETS} points: narrow filter.createdAt or choose a longer bucket`;
    throw new InvalidInputError([{ path: ['bucket'], message }], 'INVALID_RANGE');
  }
  const starts = timeZone === 'UTC' ? listStarts(range, bucket) : await readStarts(db, range, { unit, step, timeZone });
  const ranged = { ...filter, createdFrom: range.from, createdTo: range.to };
  const counted = (await readManyPoints(db, ranged, starts)) ?? (await countPoints(db, ranged, { unit, timeZone }));
  return starts.map((start) => ({ start, ...(counted.get(+start) ?? NOTHING) }));
}

/** Where each bucket of the range begins, in UTC. */
function listStarts({ from, last }: { readonly from: Date; readonly last: Date }, bucket: StatsBucket): Date[] {
  const { lengthMs } = BUCKETS[bucket];
  const origin = bucket === 'WEEK' ? A_MONDAY : 0;
  const starts: Date[] = [];
  for (let start = from.getTime() - modulo(from.getTime() - origin, lengthMs); start <= +last; start += lengthMs) {
    starts.push(new Date(start));
  }
  return starts;
}

function modulo(value: number, length: number): number {
  return ((value % length) + length) % length;
}

/** The same in a time zone. */
async function readStarts(
  db: Database,
  { from, last }: { readonly from: Date; readonly last: Date },
  { unit, step, timeZone }: { readonly unit: string; readonly step: string; readonly timeZone: string },
): Promise<Date[]> {
  const start = (time: RawBuilder<unknown>) => sql`date_trunc(${unit}::text, ${time}::timestamptz, ${timeZone}::text)`;
  const { rows } = await sql<{ start: Date }>`${sql.raw(PREPARED)}
    select ${start(sql.ref('step'))} as start
      from generate_series(${from}::timestamptz, ${last}::timestamptz, ${step}::interval) as step
     union select ${start(sql`${last}`)} order by start`.execute(db);
  return rows.map(({ start }) => start);
}

const NOTHING: BuildStats = {
  total: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  pending: 0,
  running: 0,
  successRate: null,
  averageDurationMs: null,
  p50DurationMs: null,
  p95DurationMs: null,
  averageWaitMs: null,
  totalCostUsd: null,
};

/** By rollups, by where a point begins; null when these cannot tell, or builds are so few that they are to be counted. */
async function readManyPoints(
  db: Database,
  filter: BuildFilter,
  starts: readonly Date[],
): Promise<Map<number, BuildStats> | null> {
  const plan = planRollups(filter, starts);
  const points = plan && (await readRollups(db, plan));
  if (!points || !(await areMany(db, filter, points))) return null;
  return new Map(points.map(({ point, ...figures }) => [+(starts[point] ?? Number.NaN), figures]));
}

/** By rows. */
async function countPoints(
  db: Database,
  filter: BuildFilter,
  { unit, timeZone }: { readonly unit: string; readonly timeZone: string },
): Promise<Map<number, BuildStats>> {
  const { rows } = await sql<BuildStats & { point: Date }>`
    select date_trunc(${unit}, created_at, ${timeZone}) as point, ${STATS_COLUMNS}
      from (${countedBuilds(db, filter)}) as build group by 1`.execute(db);
  return new Map(rows.map(({ point, ...figures }) => [+point, figures]));
}

/** Postgres also reads abbreviations and offsets, and reads them differently (`+01` is west of Greenwich there). */
function checkTimeZone(timeZone: string): void {
  if (timeZone === 'UTC') return;
  if (/^[A-Za-z]+(\/[A-Za-z0-9_+-]+){1,2}$/.test(timeZone) && isKnown(timeZone)) return;
  const message = 'must be the name of a time zone, such as Europe/Berlin or UTC';
  throw new InvalidInputError([{ path: ['timeZone'], message }], 'INVALID_TIME_ZONE');
}

function isKnown(timeZone: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone }));
  } catch {
    return false;
  }
}

/** Null when there is no build to begin with. `last` is the last millisecond of the range. */
async function resolveRange(db: Database, filter: BuildFilter): Promise<{ from: Date; to: Date; last: Date } | null> {
  const { createdFrom, createdTo } = filter;
  if (createdFrom && createdTo) return { from: createdFrom, to: createdTo, last: new Date(+createdTo - 1) };
  const plan = planRollups({ ...filter, createdTo: null });
  const { first, now } = (plan && (await readFirst(db, plan))) || (await countFirst(db, filter));
  const from = createdFrom ?? first;
  if (!from || (createdTo && from >= createdTo)) return null;
  // The range excludes its end, and the newest build may be of this very millisecond.
  const to = createdTo ?? new Date(Math.max(now.getTime(), from.getTime()) + 1);
  return { from, to, last: new Date(to.getTime() - 1) };
}

async function countFirst(db: Database, filter: BuildFilter): Promise<{ first: Date | null; now: Date }> {
  const first = sql`(select min(created_at) from (${countedBuilds(db, filter)}) as build)`;
  const { rows } = await sql<{ first: Date | null; now: Date }>`
    select now(), ${filter.createdFrom ? sql`null` : first} as first`.execute(db);
  if (!rows[0]) throw new Error('now() has one row');
  return rows[0];
}
