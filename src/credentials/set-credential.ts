/** Stores a secret, or takes it away. Both write who did it in the same transaction. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { audit } from '../database/audit.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { isUniqueViolation } from '../database/transient.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import {
  CREDENTIAL_COLUMNS,
  type Credential,
  type CredentialKind,
  credentialContext,
  MAX_CREDENTIALS,
  toCredential,
} from './credential.ts';
import { type CheckedCredential, type CredentialInput, checkCredential } from './credential-input.ts';
import { sealCurrent } from './keyring.ts';
import type { KeySource } from './seal.ts';

export interface SetCredentialDeps {
  readonly keyring: KeySource;
  /** The variables in which agents take their keys. */
  readonly modelVariables: readonly string[];
}

/**
 * In place of the credential that had this name. Throws InvalidInputError, which never holds the secret, or
 * ConflictError when another credential of the same scope is for the same target, or there are too many.
 */
export async function setCredential(
  trx: DatabaseTransaction,
  deps: SetCredentialDeps,
  { input, actor }: { readonly input: CredentialInput; readonly actor: string },
): Promise<Credential> {
  const checked = checkCredential(deps.modelVariables, input);
  const credential = await upsert(trx, deps.keyring, checked);
  await auditCredential(trx, { actor, action: 'setCredential', credential });
  return credential;
}

/** Throws NotFoundError. Builds that run keep what they have read. */
export async function deleteCredential(
  trx: DatabaseTransaction,
  { projectId, name, actor }: { readonly projectId: string | null; readonly name: string; readonly actor: string },
): Promise<Credential> {
  const row = await trx
    .deleteFrom('credentials')
    .where('name', '=', name)
    .where('project_id', projectId === null ? 'is' : '=', projectId)
    .returning(CREDENTIAL_COLUMNS)
    .executeTakeFirst();
  if (!row) throw new NotFoundError('credential', name);
  const credential = toCredential(row);
  await auditCredential(trx, { actor, action: 'deleteCredential', credential });
  return credential;
}

/** Those of one kind of a project that `which` names. */
export async function deleteCredentials(
  trx: DatabaseTransaction,
  given: {
    readonly projectId: string;
    readonly kind: CredentialKind;
    readonly which: (credential: Credential) => boolean;
    readonly actor: string;
  },
): Promise<void> {
  const { projectId, kind, which, actor } = given;
  const rows = await trx
    .selectFrom('credentials')
    .select(CREDENTIAL_COLUMNS)
    .where('project_id', '=', projectId)
    .where('kind', '=', kind)
    .execute();
  for (const { name } of rows.map(toCredential).filter(which)) await deleteCredential(trx, { projectId, name, actor });
}

async function auditCredential(
  trx: DatabaseTransaction,
  entry: {
    readonly actor: string;
    readonly action: 'setCredential' | 'deleteCredential';
    readonly credential: Credential;
  },
): Promise<void> {
  const { id, projectId, name, kind, target } = entry.credential;
  const detail = { name, kind, target };
  const { actor, action } = entry;
  await audit(trx, { actor, action, subjectType: 'credential', subjectId: id, projectId, detail });
}

async function upsert(trx: DatabaseTransaction, keys: KeySource, checked: CheckedCredential): Promise<Credential> {
  const { projectId, name, kind, target, baseUrl, value, graceSeconds } = checked;
  const place = { project_id: projectId, name, kind, target, base_url: baseUrl };
  const { sealed, keyId } = await sealCurrent(trx, keys, { text: value, context: credentialContext(place) });
  // One after the other: of two that are the same, the second would meet the first at its target and not at its name.
  await sql`select pg_advisory_xact_lock(hashtext(${`slipway:credentials:${projectId}`}))`.execute(trx);
  await requireRoom(trx, projectId, name);
  const until = graceSeconds > 0 ? sql<Date>`now() + make_interval(secs => ${graceSeconds})` : null;
  // A secret that signs callbacks steps back for the grace time. It may still be under an older master key: then the
  // row stays among those that a rotation has to seal anew.
  const keeps = sql<boolean>`credentials.kind = 'CALLBACK_SIGNING' and excluded.previous_until is not null`;
  const row = await trx
    .insertInto('credentials')
    .values({ id: v7(), ...place, sealed, key_id: keyId, previous_until: until })
    .onConflict((conflict) =>
      conflict.columns(['project_id', 'name']).doUpdateSet((set) => ({
        kind: set.ref('excluded.kind'),
        target: set.ref('excluded.target'),
        base_url: set.ref('excluded.base_url'),
        sealed: set.ref('excluded.sealed'),
        key_id: sql<string>`case when ${keeps} then credentials.key_id else excluded.key_id end`,
        previous_sealed: sql<string | null>`case when ${keeps} then credentials.sealed end`,
        previous_until: set.ref('excluded.previous_until'),
        updated_at: set.fn('now', []),
      })),
    )
    .returning(CREDENTIAL_COLUMNS)
    .executeTakeFirstOrThrow()
    .catch((error: unknown) => {
      if (!isUniqueViolation(error, 'credentials_target')) throw error;
      const what = target === null ? 'signs the callbacks' : `is for ${target}`;
      throw new ConflictError(`Another credential ${what} already. Set that one, or delete it first.`);
    });
  return toCredential(row);
}

/** Bounded, as every build reads all of them. */
async function requireRoom(trx: DatabaseTransaction, projectId: string | null, name: string): Promise<void> {
  const others = await trx
    .selectFrom('credentials')
    .select('id')
    .where('project_id', projectId === null ? 'is' : '=', projectId)
    .where('name', '!=', name)
    .limit(MAX_CREDENTIALS)
    .execute();
  if (others.length < MAX_CREDENTIALS) return;
  throw new ConflictError(`There are ${MAX_CREDENTIALS} credentials already, which is the limit. Delete one first.`);
}
