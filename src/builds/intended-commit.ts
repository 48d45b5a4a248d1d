/** A commit that is about to be pushed, kept beside its build until it was seen on the remote. */
import type { Database, DatabaseTransaction } from '../database/database.ts';

/** A larger commit is on its worker's disk only. */
export const MAX_PACK_BYTES = 16 * 1024 * 1024;

export interface KeptCommit {
  readonly sha: string;
  /** See `packCommit`. */
  readonly pack: Buffer;
}

export async function keepIntendedCommit(trx: DatabaseTransaction, buildId: string, commit: KeptCommit): Promise<void> {
  await trx
    .insertInto('intended_commits')
    .values({ build_id: buildId, ...commit })
    .onConflict((conflict) => conflict.column('build_id').doUpdateSet(commit))
    .execute();
}

/** Null when it was too large to be kept. */
export async function findIntendedCommit(db: Database, buildId: string, sha: string): Promise<Buffer | null> {
  const row = await db
    .selectFrom('intended_commits')
    .select('pack')
    .where('build_id', '=', buildId)
    .where('sha', '=', sha)
    .executeTakeFirst();
  return row?.pack ?? null;
}
