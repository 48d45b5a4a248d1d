/** How long events and logs are kept, by the age of their builds, and what ended tasks have left. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from './database.ts';

/** Rows that are deleted one by one in one pass: what has no partition of its own, and milestones. */
const BATCH = 10_000;
/** Tasks of one statement, and statements of one pass. */
const TASK_BATCH = 500;
const TASK_ROUNDS = 20;
/** An enrolment that nobody came with is of no use to anybody; its end is in the audit log. */
const KEEP_ENROLMENTS_DAYS = 30;

export interface Retention {
  /** Days; 0 means for ever. */
  readonly keepEventsDays: number;
  readonly keepLogsDays: number;
  readonly keepTasksDays: number;
}

export interface Dropped {
  /** Names of partitions. */
  readonly dropped: readonly string[];
  /** What is left to the next call, a sentence each. */
  readonly problems: readonly string[];
}

/** Drops what is too old. Builds stay, with their results; those that are not finished keep all. Safe to repeat. */
export async function dropOld(
  db: Database,
  { keepEventsDays, keepLogsDays }: Pick<Retention, 'keepEventsDays' | 'keepLogsDays'>,
): Promise<Dropped> {
  const logs = await dropOldBuilds(db, 'build_logs', keepLogsDays);
  const events = await dropOldBuilds(db, 'build_events', keepEventsDays);
  if (keepEventsDays > 0) {
    await sql`delete from project_events where ctid = any(array(
      select ctid from project_events where at < now() - make_interval(days => ${keepEventsDays + 7}) limit ${BATCH}
    ))`.execute(db);
  }
  return { dropped: [...logs.dropped, ...events.dropped], problems: [...logs.problems, ...events.problems] };
}

/**
 * Drops what is too old of tasks: events by the age of their task's end, then the tasks. Those that are not over keep all. A
 * task goes without its events, so a shorter time for tasks holds for their events, too. At most `TASK_ROUNDS` times
 * `TASK_BATCH` of each; the rest is left to the next call. Safe to repeat and to run in many processes at once.
 */
export async function dropOldTasks(
  db: Database,
  { keepEventsDays, keepTasksDays }: Pick<Retention, 'keepEventsDays' | 'keepTasksDays'>,
): Promise<{ readonly tasks: number }> {
  const eventDays = Math.min(...[keepEventsDays, keepTasksDays].filter((days) => days > 0));
  if (Number.isFinite(eventDays)) await inRounds(db, (batch) => sql`drop_task_events(${eventDays}::integer, ${batch})`);
  const tasks =
    keepTasksDays > 0 ? await inRounds(db, (batch) => sql`drop_tasks(${keepTasksDays}::integer, ${batch})`) : 0;
  return { tasks };
}

/** Calls it until it has found less than a batch. Returns how many there were. */
async function inRounds(db: Database, call: (batch: RawBuilder<number>) => RawBuilder<number>): Promise<number> {
  let count = 0;
  for (let round = 0; round < TASK_ROUNDS; round += 1) {
    const { rows } = await sql<{ tasks: number }>`
      select ${call(sql<number>`${TASK_BATCH}::integer`)} as tasks`.execute(db);
    const tasks = rows[0]?.tasks ?? 0;
    count += tasks;
    if (tasks < TASK_BATCH) break;
  }
  return count;
}

/** Forgets enrolments that nobody came with. Used ones stay: they say what their worker is good for. */
export async function forgetUnusedEnrolments(db: Database): Promise<void> {
  await sql`delete from worker_enrolments where id = any(array(
    select id from worker_enrolments
     where used_at is null and expires_at < now() - make_interval(days => ${KEEP_ENROLMENTS_DAYS}) limit ${BATCH}
  ))`.execute(db);
}

async function dropOldBuilds(db: Database, parent: 'build_events' | 'build_logs', days: number): Promise<Dropped> {
  if (days === 0) return { dropped: [], problems: [] };
  const { rows } = await sql<Dropped>`
    select * from drop_old_builds(${parent}, ${days}::integer, ${BATCH}::integer)`.execute(db);
  return rows[0] ?? { dropped: [], problems: [] };
}
