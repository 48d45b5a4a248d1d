import type { Database, DatabaseTransaction } from './database.ts';

/** Postgres ended the transaction because another one was in its way. */
const COLLISIONS = new Set(['40001', '40P01']);
const MAX_TRIES = 4;

/** Runs `work` in a transaction, again if it collided with another one: nothing of the earlier try is left then. */
export async function inTransaction<T>(db: Database, work: (trx: DatabaseTransaction) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await db.transaction().execute(work);
    } catch (error) {
      if (tries === MAX_TRIES || !COLLISIONS.has((error as { code?: string }).code ?? '')) throw error;
    }
  }
}
