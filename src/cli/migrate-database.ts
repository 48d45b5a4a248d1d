/** Brings a database to what this version needs: our tables and pg-boss'. */
import { openDatabase } from '../database/database.ts';
import { migrate } from '../database/migrate.ts';
import { MIGRATION_LIMITS } from '../database/session-settings.ts';
import { migrateQueue } from '../queue/queue.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Returns the names of the migrations that it applied. Safe to repeat and to run in several processes at once. */
export async function migrateDatabase(url: string, logger: Logger): Promise<readonly string[]> {
  const db = openDatabase({ url, poolSize: 2, name: 'slipway migrate', logger, limits: MIGRATION_LIMITS });
  try {
    const applied = await migrate(db);
    await migrateQueue({ db, logger });
    return applied;
  } finally {
    await db.destroy();
  }
}
