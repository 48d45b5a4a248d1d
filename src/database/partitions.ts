/** Events and logs are partitioned by week; this keeps the weeks to come ready. */
import { sql } from 'kysely';
import type { Database } from './database.ts';

/** Beyond the current week. */
const WEEKS_AHEAD = 4;

/**
 * Makes the partitions of this week and the next ones that are missing. Returns what could not be done, a sentence each:
 * rows land in the default partition then, and move when a later call succeeds. Safe to repeat, in any number of
 * processes at once.
 */
export async function ensurePartitions(db: Database): Promise<readonly string[]> {
  const { rows } = await sql<{ problems: string[] }>`
    select ensure_build_partitions(${WEEKS_AHEAD}::integer) as problems`.execute(db);
  return rows[0]?.problems ?? [];
}
