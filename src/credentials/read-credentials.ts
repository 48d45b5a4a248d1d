/** The credentials that apply to a project, opened. Only workers do that, just before they are used. */
import { type Selectable, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { CredentialsTable } from '../database/tables.ts';
import { SlipwayError } from '../errors.ts';
import {
  type Credential,
  type CredentialKind,
  credentialContext,
  formerContext,
  GIT_CREDENTIAL,
  MAX_CREDENTIALS,
  toCredential,
} from './credential.ts';
import { type KeySource, open } from './seal.ts';

type Row = Selectable<CredentialsTable>;

export interface OpenedCredential extends Credential {
  /** GIT: JSON of a `GitLogin`; otherwise the secret itself. */
  readonly value: string;
  /** CALLBACK_SIGNING, within its grace: the secret before this one. */
  readonly previous: string | null;
}

/** A credential that is there and cannot be used. */
export interface UnreadableCredential extends Credential {
  /** For a person. */
  readonly reason: string;
}

export interface ProjectCredentials {
  /** The project's own first: the first that fits is the one to use. */
  readonly opened: readonly OpenedCredential[];
  readonly unreadable: readonly UnreadableCredential[];
}

export interface ReadDeps {
  readonly db: Database;
  readonly keyring: KeySource;
}

/** Of the project and of every project; all kinds where none is named. */
export async function readCredentials(
  { db, keyring }: ReadDeps,
  { projectId, kind }: { readonly projectId: string; readonly kind?: CredentialKind },
): Promise<ProjectCredentials> {
  const rows = await db
    .selectFrom('credentials')
    .selectAll()
    .select(sql<boolean>`coalesce(previous_until > now(), false)`.as('in_grace'))
    .where((row) => row.or([row('project_id', '=', projectId), row('project_id', 'is', null)]))
    .$if(kind !== undefined, (query) => query.where('kind', '=', kind as CredentialKind))
    .orderBy(sql`project_id nulls last`)
    .orderBy('name')
    .limit(4 * MAX_CREDENTIALS)
    .execute();
  const opened: OpenedCredential[] = [];
  const unreadable: UnreadableCredential[] = [];
  for (const { in_grace: inGrace, ...row } of rows) {
    // After its grace the secret before this one is of no use, also where nobody has deleted it yet.
    const credential = { ...toCredential(row), previousUntil: inGrace ? row.previous_until : null };
    try {
      const value = await openCredential(keyring, row, row.sealed);
      const earlier = inGrace ? row.previous_sealed : null;
      opened.push({ ...credential, value, previous: earlier && (await openCredential(keyring, row, earlier)) });
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      unreadable.push({ ...credential, reason: error.message });
    }
  }
  return { opened, unreadable };
}

/** Throws UnavailableError. */
export async function openCredential(keys: KeySource, row: Row, sealed: string): Promise<string> {
  const context = credentialContext(row);
  // Those from before there were kinds are bound to their project and name, and are sealed anew by a rotation.
  const mayBeFormer = row.kind === 'GIT' && row.name === GIT_CREDENTIAL && row.project_id !== null;
  return open(keys, { sealed, contexts: mayBeFormer ? [context, formerContext(row)] : [context] });
}

/** To the minute, so that builds do not wait for each other on one row. */
export async function recordUse(db: Database, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .updateTable('credentials')
    .set({ last_used_at: sql<Date>`now()` })
    .where('id', 'in', ids)
    .where(sql<boolean>`coalesce(last_used_at < now() - interval '1 minute', true)`)
    .execute();
}
