/** The noun: builds of a project that are started by the clock. */
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import type { BuildSpecInput } from '../builds/build-spec.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { type Keyset, readChildPages } from '../database/keyset.ts';
import type { SchedulesTable } from '../database/tables.ts';
import { parseCron } from './cron.ts';
import { type CronClock, nextTime } from './cron-times.ts';
import { findTimeZone } from './time-zone.ts';

/** Of one project. */
export const MAX_SCHEDULES = 100;
/** Refusals in a row that end in a pause. */
export const MAX_REFUSALS = 10;

export interface Schedule {
  /** UUIDv7. */
  readonly id: string;
  readonly projectId: string;
  /** Unique in its project. */
  readonly name: string;
  readonly cron: string;
  readonly timeZone: string;
  /** The input of its builds, as it was given. */
  readonly spec: BuildSpecInput;
  /** What is done while an earlier build of it waits or runs. */
  readonly overlap: SchedulesTable['overlap'];
  /** What is done about times at which no Slipway was there. */
  readonly catchUp: SchedulesTable['catch_up'];
  /** How far back. */
  readonly catchUpSeconds: number;
  /** Null while it is paused. */
  readonly nextRunAt: Date | null;
  readonly lastRunAt: Date | null;
  readonly lastBuildId: string | null;
  readonly lastSkippedAt: Date | null;
  readonly lastSkippedReason: string | null;
  readonly lastError: string | null;
  readonly refusals: number;
  readonly pausedAt: Date | null;
  readonly pausedReason: string | null;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export function toSchedule(row: Selectable<SchedulesTable>): Schedule {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    cron: row.cron,
    timeZone: row.time_zone,
    spec: row.spec as BuildSpecInput,
    overlap: row.overlap,
    catchUp: row.catch_up,
    catchUpSeconds: row.catch_up_seconds,
    nextRunAt: row.next_run_at,
    lastRunAt: row.last_run_at,
    lastBuildId: row.last_build_id,
    lastSkippedAt: row.last_skipped_at,
    lastSkippedReason: row.last_skipped_reason,
    lastError: row.last_error,
    refusals: row.refusals,
    pausedAt: row.paused_at,
    pausedReason: row.paused_reason,
    createdBy: row.created_by,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Of a schedule that was accepted: what is in its row can be read. */
export function clockOf({ cron, timeZone }: Pick<Schedule, 'cron' | 'timeZone'>): CronClock {
  const parsed = parseCron(cron);
  const zone = findTimeZone(timeZone);
  if (!parsed.ok || !zone) throw new Error(`${cron} in ${timeZone} was accepted, and cannot be read`);
  return { cron: parsed.cron, zone };
}

/** The next times after a moment. */
export function nextRuns(schedule: Pick<Schedule, 'cron' | 'timeZone'>, after: Date, count: number): Date[] {
  const clock = clockOf(schedule);
  const times: Date[] = [];
  for (let at = after.getTime(); times.length < count; ) {
    at = nextTime(clock, at);
    times.push(new Date(at));
  }
  return times;
}

export async function findSchedules(db: Database, ids: readonly string[]): Promise<Schedule[]> {
  if (ids.length === 0) return [];
  return (await db.selectFrom('schedules').selectAll().where('id', 'in', ids).execute()).map(toSchedule);
}

/** For a change: waits for whoever has it. */
export async function lockSchedule(trx: DatabaseTransaction, id: string): Promise<Schedule | null> {
  const row = await trx.selectFrom('schedules').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  return row ? toSchedule(row) : null;
}

/** The same page of each project's schedules, in one statement. */
export async function listSchedulesOf(
  db: Database,
  projectIds: readonly string[],
  keyset: Keyset,
): Promise<Map<string, Schedule[]>> {
  const pages = await readChildPages(db, {
    parents: projectIds,
    childrenOf: (parent) => db.selectFrom('schedules').selectAll().where(sql<boolean>`project_id = ${parent}`),
    column: 'id',
    keyset,
  });
  return new Map([...pages].map(([projectId, rows]) => [projectId, rows.map(toSchedule)]));
}
