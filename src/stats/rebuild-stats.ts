/** Rollups beside what the builds say: compared, and replaced where they differ. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

/** Differences that are told one by one. */
const TOLD = 20;
const DAY_MS = 86_400_000;

/** One rollup that does not have the builds that it should. */
export interface StatsDifference {
  readonly scope: string;
  /** Of the scopes of a project; else the nil UUID. */
  readonly projectId: string;
  readonly level: string;
  readonly bucket: Date;
  readonly provider: string;
  readonly template: string;
  /** Builds in it, and those that there are. With the same number another figure differs. */
  readonly stored: number;
  readonly counted: number;
}

export interface Rebuild {
  /** Days of UTC that were looked at. */
  readonly days: number;
  readonly differing: number;
  /** The first of them. */
  readonly differences: readonly StatsDifference[];
}

export interface RebuildOptions {
  /** Replace what differs. */
  readonly apply: boolean;
  /** The first day, by its beginning; that of the first build if absent. */
  readonly from?: Date | undefined;
  /** After each day; null means that it was the last one. */
  readonly onDay?: (next: Date | null) => Promise<void>;
}

/**
 * A day after the other, each in a transaction of its own: builds and their figures go on meanwhile. Safe to interrupt and to
 * repeat.
 */
export async function rebuildStats(db: Database, { apply, from, onDay }: RebuildOptions): Promise<Rebuild> {
  const range = await readRange(db);
  if (!range) {
    await onDay?.(null);
    return { days: 0, differing: 0, differences: [] };
  }
  const found: { days: number; differing: number; differences: StatsDifference[] } = {
    days: 0,
    differing: 0,
    differences: [],
  };
  const check = async (level: 'DAY' | 'MONTH', begin: Date, end: Date) => {
    const differences = await compare(db, { level, begin, end, apply });
    found.differing += differences.length;
    found.differences.push(...differences.slice(0, TOLD - found.differences.length));
  };
  for (let day = from ?? startOfDay(range.first); day <= range.last; ) {
    const next = new Date(+day + DAY_MS);
    await check('DAY', day, next);
    found.days += 1;
    const isOver = next > range.last;
    if (isOver || next.getUTCDate() === 1) await check('MONTH', startOfMonth(day), startOfMonth(day, 1));
    await onDay?.(isOver ? null : next);
    day = next;
  }
  return found;
}

/** From the first to the last that builds or rollups are of; null when there are none. */
async function readRange(db: Database): Promise<{ first: Date; last: Date } | null> {
  const { rows } = await sql<{ first: Date | null; last: Date | null }>`
    with build as (
      select ends.created_at from projects cross join lateral (
        (select created_at from build_audit where project_id = projects.id and finished_at is not null
          order by created_at limit 1)
        union all
        (select created_at from build_audit where project_id = projects.id and finished_at is not null
          order by created_at desc limit 1)) ends
      union all (select bucket from build_stats order by bucket limit 1)
      union all (select bucket from build_stats order by bucket desc limit 1)
    ) select min(created_at) as first, max(created_at) as last from build`.execute(db);
  const { first, last } = rows[0] ?? {};
  return first && last ? { first, last } : null;
}

async function compare(
  db: Database,
  at: { readonly level: 'DAY' | 'MONTH'; readonly begin: Date; readonly end: Date; readonly apply: boolean },
): Promise<StatsDifference[]> {
  const { rows } = await sql<StatsDifference>`
    select scope, project_id as "projectId", level, bucket, provider, template, stored, counted
      from build_stats_check(${at.level}, ${at.begin}::timestamptz, ${at.end}::timestamptz, ${at.apply})
     order by bucket, scope, project_id, provider, template`.execute(db);
  return rows;
}

function startOfDay(time: Date): Date {
  return new Date(Math.floor(+time / DAY_MS) * DAY_MS);
}

function startOfMonth(time: Date, later = 0): Date {
  return new Date(Date.UTC(time.getUTCFullYear(), time.getUTCMonth() + later));
}
