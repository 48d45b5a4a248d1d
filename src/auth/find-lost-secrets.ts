import type { Database } from '../database/database.ts';
import type { Viewer } from './viewer.ts';

/** A secret of a token, as a viewer has it. */
export type ShownSecret = Pick<Viewer, 'tokenId' | 'secretVersion'>;

/** Those of the secrets that may no longer be used: revoked, expired, or replaced by a rotation whose grace is over. */
export async function findLostSecrets<S extends ShownSecret>(db: Database, shown: readonly S[]): Promise<S[]> {
  if (shown.length === 0) return [];
  const rows = await db
    .selectFrom('valid_token_secrets')
    .select(['token_id', 'secret_version'])
    .where('token_id', 'in', [...new Set(shown.map(({ tokenId }) => tokenId))])
    .execute();
  const valid = new Set(rows.map((row) => `${row.token_id} ${row.secret_version}`));
  return shown.filter(({ tokenId, secretVersion }) => !valid.has(`${tokenId} ${secretVersion}`));
}
