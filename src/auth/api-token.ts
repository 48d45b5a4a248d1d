/** The tokens that callers of the API show. Only their hash is kept: nobody can read one back. */
import { type Selectable, sql } from 'kysely';
import { v7 } from 'uuid';
import { z } from 'zod';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { ApiTokensTable } from '../database/tables.ts';
import { InvalidInputError, NotFoundError } from '../errors.ts';
import { toPublicId } from '../std/public-id.ts';
import { knownScopes, SCOPES, type Scope } from './scope.ts';
import { hashToken, makeTokenText } from './token-text.ts';

/** Tokens of one answer. */
const MAX_LISTED = 1_000;

const newToken = z.object({
  name: z
    .string()
    .max(100)
    .refine((name) => name.trim() !== '', 'must not be empty')
    .refine((name) => name.isWellFormed() && !/\p{Cc}/u.test(name), 'must not contain control characters'),
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
  /** The actor: `token_…`, `system`, or the name of a command. */
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
}

/** Returns the token's UUID and the token itself, which cannot be had again. Throws InvalidInputError. */
export async function createApiToken(
  db: Database | DatabaseTransaction,
  input: NewApiToken,
): Promise<{ readonly id: string; readonly token: string }> {
  const checked = newToken.safeParse(input);
  if (!checked.success) {
    throw new InvalidInputError(checked.error.issues.map(({ path, message }) => ({ path: path.map(String), message })));
  }
  const { name, scopes, projectIds, expiresAt, createdBy } = checked.data;
  const id = v7();
  const token = makeTokenText();
  await db
    .insertInto('api_tokens')
    .values({
      id,
      name,
      hash: hashToken(token),
      scopes,
      project_ids: projectIds,
      created_by: createdBy,
      expires_at: expiresAt,
    })
    .execute();
  return { id, token };
}

/** Acts at once and for good; a second time changes nothing. Throws NotFoundError. */
export async function revokeApiToken(db: Database | DatabaseTransaction, id: string): Promise<ApiToken> {
  const row = await db
    .updateTable('api_tokens')
    .set({ revoked_at: sql<Date>`coalesce(revoked_at, now())` })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  if (!row) throw new NotFoundError('token', toPublicId('token', id));
  return toApiToken(row);
}

/** The newest 1000, newest first, with those that no longer work. */
export async function listApiTokens(db: Database): Promise<ApiToken[]> {
  const rows = await db.selectFrom('api_tokens').selectAll().orderBy('id', 'desc').limit(MAX_LISTED).execute();
  return rows.map(toApiToken);
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
  };
}
