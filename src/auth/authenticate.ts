/** Authorization header -> viewer. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { toPublicId } from '../std/public-id.ts';
import { knownScopes } from './scope.ts';
import { hashToken, isTokenText } from './token-text.ts';
import type { Viewer } from './viewer.ts';

/** The token of `Bearer <token>`; null when there is none, or what is there cannot be one. */
export function readToken(header: string | null | undefined): string | null {
  const token = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  return token !== undefined && isTokenText(token) ? token : null;
}

/**
 * The viewer of `Bearer <token>`; null when there is none, or when the token is unknown, expired or revoked. Asks the
 * database every time, so that a revoked token is refused from the next request on; what cannot be a token costs no
 * query.
 */
export async function authenticate(db: Database, header: string | null | undefined): Promise<Viewer | null> {
  const token = readToken(header);
  if (token === null) return null;
  const row = await db
    .selectFrom('valid_token_secrets')
    .select(['token_id', 'secret_version', 'name', 'scopes', 'project_ids', 'expires_at'])
    .select(sql<boolean>`coalesce(last_used_at < now() - interval '1 minute', true)`.as('use_is_old'))
    .where('hash', '=', hashToken(token))
    .executeTakeFirst();
  if (!row) return null;
  if (row.use_is_old) await recordUse(db, row.token_id);
  return {
    tokenId: row.token_id,
    secretVersion: row.secret_version,
    name: row.name,
    actor: toPublicId('token', row.token_id),
    scopes: knownScopes(row.scopes),
    projectIds: row.project_ids,
    expiresAt: row.expires_at,
  };
}

/** Asks again while it holds the row: of many requests at the same moment one writes. */
async function recordUse(db: Database, id: string): Promise<void> {
  await db
    .updateTable('api_tokens')
    .set({ last_used_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where(sql<boolean>`coalesce(last_used_at < now() - interval '1 minute', true)`)
    .execute();
}
