/** Authorization header -> viewer. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { toPublicId } from '../std/public-id.ts';
import { knownScopes } from './scope.ts';
import { hashToken, isTokenText } from './token-text.ts';
import type { Viewer } from './viewer.ts';

/**
 * The viewer of `Bearer <token>`; null when there is none, or when the token is unknown, expired or revoked. Asks the
 * database every time, so that a revoked token is refused from the next request on; what cannot be a token costs no
 * query.
 */
export async function authenticate(db: Database, header: string | null | undefined): Promise<Viewer | null> {
  const token = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  if (token === undefined || !isTokenText(token)) return null;
  const row = await db
    .selectFrom('api_tokens')
    .select(['id', 'name', 'scopes', 'project_ids', 'expires_at'])
    .select(sql<boolean>`coalesce(last_used_at < now() - interval '1 minute', true)`.as('use_is_old'))
    .where('hash', '=', hashToken(token))
    .where('revoked_at', 'is', null)
    .where(sql<boolean>`coalesce(expires_at > now(), true)`)
    .executeTakeFirst();
  if (!row) return null;
  if (row.use_is_old) await recordUse(db, row.id);
  return {
    tokenId: row.id,
    name: row.name,
    actor: toPublicId('token', row.id),
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
