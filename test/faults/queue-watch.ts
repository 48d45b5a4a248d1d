/** Watches the queue of a run from inside of its database, for the oracle: see queue-watch.sql. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';

/** Once, before anything is claimed: from then on limits, fairness and schedules are judged at each claim and each move. */
export async function watchQueue(db: Database): Promise<void> {
  const statements = await readFile(join(import.meta.dirname, 'queue-watch.sql'), 'utf8');
  await sql.raw(statements).execute(db);
}
