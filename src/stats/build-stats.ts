/** What became of the builds that a filter names: few are counted one by one, many are read from rollups. */
import { type RawBuilder, sql } from 'kysely';
import { type BuildFilter, filterBuilds } from '../builds/filter-builds.ts';
import type { Database } from '../database/database.ts';
import { InvalidInputError } from '../errors.ts';
import { planRollups } from './plan-rollups.ts';
import { type Point, readRollups } from './rollups.ts';

/** Times are milliseconds, money is US dollars; null means that no build has the figure. */
export interface BuildStats {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly pending: number;
  readonly running: number;
  /** completed / (completed + failed), 0 to 1. */
  readonly successRate: number | null;
  /** From the first claim to the end, of completed and failed builds. */
  readonly averageDurationMs: number | null;
  readonly p50DurationMs: number | null;
  readonly p95DurationMs: number | null;
  /** From when a build could start (creation, or its `runAfter`) to its first claim. */
  readonly averageWaitMs: number | null;
  readonly totalCostUsd: number | null;
}

const DECIDED = sql`status in ('COMPLETED', 'FAILED') and started_at is not null`;
const DURATION_MS = sql`(extract(epoch from finished_at - started_at) * 1000)::float8`;
const WAIT_MS = sql`greatest(0, (extract(epoch from started_at - greatest(created_at, run_after)) * 1000)::float8)`;

/** The columns of BuildStats over one group of builds. */
export const STATS_COLUMNS: RawBuilder<unknown> = sql`
  count(*) as total,
  count(*) filter (where status = 'COMPLETED') as completed,
  count(*) filter (where status = 'FAILED') as failed,
  count(*) filter (where status = 'CANCELLED') as cancelled,
  count(*) filter (where status = 'PENDING') as pending,
  count(*) filter (where status = 'RUNNING') as running,
  count(*) filter (where status = 'COMPLETED')::float8
    / nullif(count(*) filter (where status in ('COMPLETED', 'FAILED')), 0) as "successRate",
  avg(${DURATION_MS}) filter (where ${DECIDED}) as "averageDurationMs",
  percentile_cont(0.5) within group (order by ${DURATION_MS}) filter (where ${DECIDED}) as "p50DurationMs",
  percentile_cont(0.95) within group (order by ${DURATION_MS}) filter (where ${DECIDED}) as "p95DurationMs",
  avg(${WAIT_MS}) filter (where started_at is not null) as "averageWaitMs",
  sum((usage ->> 'costUsd')::float8) as "totalCostUsd"`;

/** Of no more builds than these all figures are exact, as they are counted; of more, percentiles are within 2 %. */
export const EXACT_BUILDS = 1_000;

/**
 * The builds of a filter as a subquery, with only the columns that are counted. Those that are finished are apart, as the
 * index by time has these.
 */
export function countedBuilds(db: Database, filter: BuildFilter) {
  const columns = ['status', 'created_at', 'run_after', 'started_at', 'finished_at', 'usage'] as const;
  const builds = () => filterBuilds(db.selectFrom('build_audit').select(columns), filter);
  return builds()
    .where('finished_at', 'is not', null)
    .unionAll(builds().where('finished_at', 'is', null));
}

/** Throws InvalidInputError when the time range is empty; its path begins with `path`. */
export async function readBuildStats(
  db: Database,
  filter: BuildFilter,
  path: readonly string[] = ['filter', 'createdAt'],
): Promise<BuildStats> {
  checkRange(filter, path);
  return (await readManyStats(db, filter)) ?? countBuildStats(db, filter);
}

/** By rows. */
export async function countBuildStats(db: Database, filter: BuildFilter): Promise<BuildStats> {
  const { rows } = await sql<BuildStats>`
    select ${STATS_COLUMNS} from (${countedBuilds(db, filter)}) as build`.execute(db);
  if (!rows[0]) throw new Error('an aggregate without groups has one row');
  return rows[0];
}

/** By rollups; null when these cannot tell, or builds are so few that they are to be counted. */
async function readManyStats(db: Database, filter: BuildFilter): Promise<BuildStats | null> {
  const plan = planRollups(filter);
  const points = plan && (await readRollups(db, plan));
  if (!points || !(await areMany(db, filter, points)) || !points[0]) return null;
  const { point: _, ...figures } = points[0];
  return figures;
}

/** Whether more builds would have to be looked at than are counted one by one: those of other agents and templates, too. */
export async function areMany(db: Database, filter: BuildFilter, points: readonly Point[]): Promise<boolean> {
  if (points.reduce((sum, { total }) => sum + total, 0) > EXACT_BUILDS) return true;
  const { providers = null, template = null } = filter;
  if (providers === null && template === null) return false;
  const looked = countedBuilds(db, { ...filter, providers: null, template: null }).limit(EXACT_BUILDS + 1);
  const { rows } = await sql<{ many: boolean }>`
    select count(*) > ${sql.lit(EXACT_BUILDS)} as many from (${looked}) as build`.execute(db);
  return rows[0]?.many ?? false;
}

export function checkRange(
  { createdFrom, createdTo }: Pick<BuildFilter, 'createdFrom' | 'createdTo'>,
  path: readonly string[],
): void {
  if (createdFrom && createdTo && createdFrom >= createdTo) {
    throw new InvalidInputError([{ path: [...path, 'to'], message: 'must be later than from' }], 'INVALID_RANGE');
  }
}
