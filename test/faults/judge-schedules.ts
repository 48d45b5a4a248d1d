/** Schedules: each move that queue-watch.sql has seen against the builds of the schedule. */
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import { findSchedules, nextRuns, type Schedule } from '../../src/schedules/schedule.ts';
import { isWatched } from './judge-queue.ts';
import type { Violation } from './promises.ts';

/** A look for due schedules every two seconds, and room for a machine that is busy. */
const LATE_MS = 30_000;
/** A time that has come more recently is not missed. */
const ON_TIME_MS = 5 * 60_000;
/** Of times that were missed, with the rule ALL. */
const MAX_CAUGHT_UP = 10;

interface Move {
  readonly at: Date;
  readonly due: Date | null;
  readonly next: Date | null;
  /** Why a build was not started, as its row has it since. */
  readonly noted: string | null;
}

interface StartedBuild {
  readonly id: string;
  readonly at: Date;
}

export interface ScheduleVerdict {
  readonly violations: readonly Violation[];
  readonly fires: number;
  /** Times for which there is a record instead of a build. */
  readonly passedOver: number;
}

export async function judgeSchedules(db: Database): Promise<ScheduleVerdict> {
  const nothing = { violations: [], fires: 0, passedOver: 0 };
  if (!(await isWatched(db))) return nothing;
  const rows = await db.selectFrom('schedules').select('id').execute();
  const schedules = await findSchedules(
    db,
    rows.map(({ id }) => id),
  );
  const verdicts: ScheduleVerdict[] = [];
  for (const schedule of schedules) verdicts.push(await judgeSchedule(db, schedule));
  return verdicts.reduce(
    (all, { violations, fires, passedOver }) => ({
      violations: [...all.violations, ...violations],
      fires: all.fires + fires,
      passedOver: all.passedOver + passedOver,
    }),
    nothing,
  );
}

async function judgeSchedule(db: Database, schedule: Schedule): Promise<ScheduleVerdict> {
  const violations: Violation[] = [];
  const wrong = (detail: string, buildId?: string) =>
    violations.push({ promise: 'schedules', detail: `${schedule.name}: ${detail}`, ...(buildId ? { buildId } : {}) });
  const { rows: moves } = await sql<Move>`
    select at, due, next, noted from oracle_moves where schedule_id = ${schedule.id} order by seq`.execute(db);
  const builds = await readBuilds(db, schedule.id);
  const byTime = Map.groupBy(builds, ({ at }) => at.getTime());
  for (const [time, started] of byTime) {
    if (started.length > 1) wrong(`${started.length} builds for ${new Date(time).toISOString()}`, started[1]?.id);
  }
  const wanted = new Set<number>();
  let passedOver = 0;
  // Somebody who changes the time of a schedule does not fire it: then it is due in the past, or in the future before.
  const fires = moves.filter(({ at, due, next }) => due && due <= at && !(next && next <= at));
  for (const fire of fires) {
    const times = dueTimes(schedule, fire);
    for (const time of times) wanted.add(time);
    const missing = times.filter((time) => !byTime.has(time));
    // What is too old for the rule is passed over, too.
    const without = times.length > 0 ? missing : [fire.due?.getTime() ?? 0];
    passedOver += without.length;
    if (without.length > 0 && fire.noted === null) {
      wrong(`${without.map((time) => new Date(time).toISOString())} have neither a build nor a record`);
    }
    const first = nextRuns(schedule, fire.at, 1)[0];
    if (fire.next && fire.next.getTime() !== first?.getTime()) {
      wrong(`after ${fire.at.toISOString()} it is due at ${fire.next.toISOString()}`);
    }
  }
  for (const { id, at } of builds) if (!wanted.has(at.getTime())) wrong(`not due at ${at.toISOString()}`, id);
  for (const [index, { due }] of moves.entries()) {
    const before = moves[index - 1]?.next;
    if (before !== undefined && before?.getTime() !== due?.getTime()) wrong('its time was changed unseen');
  }
  const { rows: clock } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  const { nextRunAt } = schedule;
  const lateMs = nextRunAt ? (clock[0]?.now.getTime() ?? 0) - nextRunAt.getTime() : 0;
  if (lateMs > LATE_MS) wrong(`it has been due for ${Math.round(lateMs / 1000)} s`);
  return { violations, fires: fires.length, passedOver };
}

async function readBuilds(db: Database, scheduleId: string): Promise<StartedBuild[]> {
  const { rows } = await sql<StartedBuild>`
    select id, scheduled_for as at from build_audit where schedule_id = ${scheduleId} order by scheduled_for`.execute(
    db,
  );
  return rows;
}

/** Each time from the one that was due on is caught up as the rule says. */
function dueTimes(schedule: Schedule, { due, at }: Move): number[] {
  const { catchUp, catchUpSeconds } = schedule;
  const times: number[] = [];
  for (let next = due; next && next <= at; next = nextRuns(schedule, next, 1)[0] ?? null) times.push(next.getTime());
  const windowMs = catchUp === 'NONE' ? ON_TIME_MS : Math.max(ON_TIME_MS, catchUpSeconds * 1_000);
  const inTime = times.filter((time) => time >= at.getTime() - windowMs);
  return inTime.slice(catchUp === 'ALL' ? -MAX_CAUGHT_UP : -1);
}
