/** The tokens that callers of the API show. Only hashes of their secrets are kept: nobody can read one back. */
import { type Selectable, sql } from 'kysely';
import { v7 } from 'uuid';
import { z } from 'zod';
import { audit } from '../database/audit.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { applyKeyset, inListOrder, type Keyset } from '../database/keyset.ts';
import type { ApiTokensTable } from '../database/tables.ts';
import { InvalidInputError, NotFoundError } from '../errors.ts';
import { toPublicId } from '../std/public-id.ts';
import { knownScopes, SCOPES, type Scope } from './scope.ts';
import { hashToken, makeTokenText } from './token-text.ts';

/** Tokens that work at the same time. */
export const MAX_VALID_TOKENS = 1_000;
/** Seconds that the secret before the last rotation goes on, at most and by default. */
export const MAX_GRACE_SECONDS = 7 * 24 * 60 * 60;
export const DEFAULT_GRACE_SECONDS = 60 * 60;

export const tokenName = z
  .string()
  .max(100)
  .refine((name) => name.trim() !== '', 'must not be empty')
  .refine((name) => name.isWellFormed() && !/\p{Cc}/u.test(name), 'must not contain control characters');

const newToken = z.object({
  name: tokenName,
  scopes: z.array(z.enum(SCOPES)).min(1).transform(knownScopes),
  projectIds: z.array(z.uuid()).min(1, 'must name a project; null means every project').max(1_000).nullable(),
  expiresAt: z
    .date()
    .refine((at) => at.getTime() > Date.now(), 'must be in the future')
    .nullable(),
  createdBy: z.string().min(1),
});

export interface NewApiToken {
  /** For people: 1 to 100 characters. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** UUIDs; null means every project, also those that do not exist yet. */
  readonly projectIds: readonly string[] | null;
  readonly expiresAt: Date | null;
  /** The actor: `token_…`, `system`, or the name of a command. The audit log has it, too. */
  readonly createdBy: string;
}

/** A token as it is listed. */
export interface ApiToken {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly projectIds: readonly string[] | null;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  /** To the minute. */
  readonly lastUsedAt: Date | null;
  /** When its secret was last replaced. */
  readonly rotatedAt: Date | null;
  /** How long the secret before that works; may lie in the past. */
  readonly previousUntil: Date | null;
}

/** What a new secret comes with: it cannot be had again. */
export interface NewSecret {
  readonly token: string;
}

/** Returns the token's UUID and the token itself. Throws InvalidInputError, with TOKEN_LIMIT when there are too many. */
export async function createApiToken(db: Database, input: NewApiToken): Promise<NewSecret & { readonly id: string }> {
  const checked = newToken.safeParse(input);
  if (!checked.success) {
    throw new InvalidInputError(checked.error.issues.map(({ path, message }) => ({ path: path.map(String), message })));
  }
  const token = makeTokenText();
  const id = await db.transaction().execute((trx) => insertApiToken(trx, checked.data, token));
  return { id, token };
}

/** Its UUID. `input` was checked. Throws InvalidInputError (TOKEN_LIMIT). */
export async function insertApiToken(trx: DatabaseTransaction, input: NewApiToken, token: string): Promise<string> {
  const { name, scopes, projectIds, expiresAt, createdBy } = input;
  const id = v7();
  await requireRoom(trx);
  await trx
    .insertInto('api_tokens')
    .values({
      id,
      name,
      hash: hashToken(token),
      scopes: [...scopes],
      project_ids: projectIds && [...projectIds],
      created_by: createdBy,
      expires_at: expiresAt,
    })
    .execute();
  const detail = {
    name,
    scopes,
    projectIds: projectIds?.map((projectId) => toPublicId('project', projectId)) ?? null,
    expiresAt,
  };
  await audit(trx, { actor: createdBy, action: 'createApiToken', ...subject(id), detail });
  return id;
}

/** Those who make tokens wait for each other, so that the count stays true. */
async function requireRoom(trx: DatabaseTransaction): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('slipway api_tokens', 0))`.execute(trx);
  const { count } = await trx
    .selectFrom('valid_token_secrets')
    .select((select) => select.fn.count<number>('token_id').distinct().as('count'))
    .executeTakeFirstOrThrow();
  if (Number(count) < MAX_VALID_TOKENS) return;
  const message = `There are ${MAX_VALID_TOKENS} tokens that work, which is the most: revoke those that nobody uses.`;
  throw new InvalidInputError([{ path: [], message }], 'TOKEN_LIMIT');
}

export interface Rotation {
  /** UUID. */
  readonly id: string;
  /** Whole seconds that the present secret goes on, 0 to MAX_GRACE_SECONDS; 0 ends it at once. */
  readonly graceSeconds: number;
}

/**
 * Replaces the secret of a token that works. Its id, rights and end stay. Of the secrets before, only the last one goes
 * on: rotating again ends the one before that at once. Throws NotFoundError or InvalidInputError.
 */
export async function rotateApiToken(
  db: Database,
  { id, graceSeconds }: Rotation,
  actor: string,
): Promise<NewSecret & { readonly apiToken: ApiToken }> {
  if (!Number.isInteger(graceSeconds) || graceSeconds < 0 || graceSeconds > MAX_GRACE_SECONDS) {
    const message = `must be 0 to ${MAX_GRACE_SECONDS} seconds`;
    throw new InvalidInputError([{ path: ['graceSeconds'], message }]);
  }
  const token = makeTokenText();
  const goesOn = graceSeconds > 0;
  const row = await db.transaction().execute(async (trx) => {
    const rotated = await trx
      .updateTable('api_tokens')
      .set((columns) => ({
        hash: hashToken(token),
        secret_version: sql<number>`secret_version + 1`,
        rotated_at: sql<Date>`now()`,
        previous_hash: goesOn ? columns.ref('hash') : null,
        previous_until: goesOn ? sql<Date>`now() + make_interval(secs => ${graceSeconds})` : null,
      }))
      .where('id', '=', id)
      .where('id', 'in', (select) => select.selectFrom('valid_token_secrets').select('token_id'))
      .returningAll()
      .executeTakeFirst();
    if (!rotated) throw await whyNotRotated(trx, id);
    await audit(trx, { actor, action: 'rotateApiToken', ...subject(id), detail: { graceSeconds } });
    return rotated;
  });
  return { token, apiToken: toApiToken(row) };
}

async function whyNotRotated(trx: DatabaseTransaction, id: string): Promise<Error> {
  const row = await trx.selectFrom('api_tokens').select('id').where('id', '=', id).executeTakeFirst();
  if (!row) return new NotFoundError('token', toPublicId('token', id));
  return new InvalidInputError([{ path: ['id'], message: 'was revoked or has expired: make a new token' }]);
}

/** Acts at once and for good, on every secret; a second time changes nothing. Throws NotFoundError. */
export async function revokeApiToken(db: Database, id: string, actor: string): Promise<ApiToken> {
  return db.transaction().execute(async (trx) => {
    const revoked = await trx
      .updateTable('api_tokens')
      .set({ revoked_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .returningAll()
      .executeTakeFirst();
    if (revoked) await audit(trx, { actor, action: 'revokeApiToken', ...subject(id) });
    const row = revoked ?? (await trx.selectFrom('api_tokens').selectAll().where('id', '=', id).executeTakeFirst());
    if (!row) throw new NotFoundError('token', toPublicId('token', id));
    return toApiToken(row);
  });
}

export interface ApiTokenFilter {
  /** Only those that work, or also those that were revoked or have expired. */
  readonly onlyValid: boolean;
  /** Only those made by this actor. */
  readonly createdBy?: string;
}

/** One page, in the order of `id`: that in which they were made. */
export async function listApiTokens(db: Database, filter: ApiTokenFilter, keyset: Keyset): Promise<ApiToken[]> {
  let query = db.selectFrom('api_tokens').selectAll();
  if (filter.onlyValid) {
    query = query.where('id', 'in', (select) => select.selectFrom('valid_token_secrets').select('token_id'));
  }
  if (filter.createdBy !== undefined) query = query.where('created_by', '=', filter.createdBy);
  const rows = await applyKeyset(query, 'id', keyset).execute();
  return inListOrder(rows, keyset).map(toApiToken);
}

/** Was there ever a token? */
export async function hasApiTokens(db: Database): Promise<boolean> {
  return (await db.selectFrom('api_tokens').select('id').limit(1).executeTakeFirst()) !== undefined;
}

/** The names of tokens, also of those that no longer work. */
export async function findTokenNames(db: Database, ids: readonly string[]): Promise<{ id: string; name: string }[]> {
  return db.selectFrom('api_tokens').select(['id', 'name']).where('id', 'in', ids).execute();
}

function subject(id: string) {
  return { subjectType: 'token', subjectId: id, projectId: null } as const;
}

function toApiToken(row: Selectable<ApiTokensTable>): ApiToken {
  return {
    id: row.id,
    name: row.name,
    scopes: knownScopes(row.scopes),
    projectIds: row.project_ids,
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
    rotatedAt: row.rotated_at,
    previousUntil: row.previous_until,
  };
}
