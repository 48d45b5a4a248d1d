/** How long events and logs are kept, by the age of their builds. */
import { sql } from 'kysely';
import type { Database } from './database.ts';

/** Rows that are deleted one by one in one pass: what has no partition of its own, and milestones. */
const BATCH = 10_000;

export interface Retention {
  /** Days; 0 means for ever. */
  readonly keepEventsDays: number;
  readonly keepLogsDays: number;
}

export interface Dropped {
  /** Names of partitions. */
  readonly dropped: readonly string[];
  /** What is left to the next call, a sentence each. */
  readonly problems: readonly string[];
}

/** Drops what is too old. Builds stay, with their results; those that are not finished keep all. Safe to repeat. */
export async function dropOld(db: Database, { keepEventsDays, keepLogsDays }: Retention): Promise<Dropped> {
  const logs = await dropOldBuilds(db, 'build_logs', keepLogsDays);
  const events = await dropOldBuilds(db, 'build_events', keepEventsDays);
  if (keepEventsDays > 0) {
    await sql`delete from project_events where ctid = any(array(
      select ctid from project_events where at < now() - make_interval(days => ${keepEventsDays + 7}) limit ${BATCH}
    ))`.execute(db);
  }
  return { dropped: [...logs.dropped, ...events.dropped], problems: [...logs.problems, ...events.problems] };
}

async function dropOldBuilds(db: Database, parent: 'build_events' | 'build_logs', days: number): Promise<Dropped> {
  if (days === 0) return { dropped: [], problems: [] };
  const { rows } = await sql<Dropped>`
    select * from drop_old_builds(${parent}, ${days}::integer, ${BATCH}::integer)`.execute(db);
  return rows[0] ?? { dropped: [], problems: [] };
}
