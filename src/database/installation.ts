import type { Database, DatabaseTransaction } from './database.ts';

/** A UUID that this database has been given once; its copies have the same one. */
export async function readInstallation(db: Database | DatabaseTransaction): Promise<string> {
  return (await db.selectFrom('installation').select('id').executeTakeFirstOrThrow()).id;
}
