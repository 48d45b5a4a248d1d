/** Authorization header -> viewer. */
import { CompiledQuery, type Selectable, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import type { Tables } from '../database/tables.ts';
import { toPublicId } from '../std/public-id.ts';
import { knownScopes } from './scope.ts';
import { hashToken, isTokenText } from './token-text.ts';
import type { Viewer } from './viewer.ts';

/** The token of `Bearer <token>`; null when there is none, or what is there cannot be one. */
export function readToken(header: string | null | undefined): string | null {
  const token = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  return token !== undefined && isTokenText(token) ? token : null;
}

/** A viewer by the hash of the token that was shown, in base64. */
export type ViewersByHash = ReadonlyMap<string, Viewer>;

/**
 * The viewer of `Bearer <token>`; null when there is none, or when the token is unknown, expired or revoked. Asks the
 * database every time, so that a revoked token is refused from the next request on; what cannot be a token costs no
 * query.
 */
export async function authenticate(db: Database, header: string | null | undefined): Promise<Viewer | null> {
  const token = readToken(header);
  if (token === null) return null;
  const hash = hashToken(token);
  return (await findViewers(db, [hash])).get(hash.toString('base64')) ?? null;
}

const FIND_VIEWERS = `${PREPARED}
  select hash, token_id, secret_version, name, scopes, project_ids, expires_at,
         coalesce(last_used_at < now() - interval '1 minute', true) as use_is_old
    from valid_token_secrets where hash = any($1::bytea[])`;

/** Of the hashes of tokens that are known, not expired and not revoked. Records that they were used. */
export async function findViewers(db: Database, hashes: readonly Buffer[]): Promise<ViewersByHash> {
  const { rows } = await db.executeQuery<ViewerRow & UseRow>(CompiledQuery.raw(FIND_VIEWERS, [hashes]));
  const unrecorded = rows.filter((row) => row.use_is_old).map((row) => row.token_id);
  if (unrecorded.length > 0) await recordUse(db, unrecorded);
  return new Map(rows.map((row) => [row.hash.toString('base64'), toViewer(row)]));
}

type ViewerRow = Pick<
  Selectable<Tables['valid_token_secrets']>,
  'token_id' | 'secret_version' | 'name' | 'scopes' | 'project_ids' | 'expires_at'
>;

interface UseRow {
  readonly hash: Buffer;
  readonly use_is_old: boolean;
}

function toViewer(row: ViewerRow): Viewer {
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

/**
 * Asks again while it holds the rows: of many requests at the same moment one writes. Rows that somebody else holds are
 * being written: nobody waits for them, and two who have several of them do not wait for each other.
 */
async function recordUse(db: Database, ids: readonly string[]): Promise<void> {
  await sql`
    update api_tokens set last_used_at = now() where id in (
      select id from api_tokens
       where id = any(${ids}::uuid[]) and coalesce(last_used_at < now() - interval '1 minute', true)
         for no key update skip locked
    )`.execute(db);
}
