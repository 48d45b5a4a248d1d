/** Stores a secret, or takes it away. Both write who did it in the same transaction. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { audit } from '../database/audit.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { isUniqueViolation } from '../database/transient.ts';
import { ConflictError, InvalidInputError, NotFoundError } from '../errors.ts';
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
  await moveWaiting(trx, credential);
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
  if (credential.maxRunning !== null) await sql`select queue_limit_gate(${credential.id}, null)`.execute(trx);
  await moveWaiting(trx, credential);
  return credential;
}

/**
 * Builds that run with this key at the same time; null for any number. Throws NotFoundError, or InvalidInputError when it
 * is no key of a model's provider.
 */
export async function limitCredential(
  trx: DatabaseTransaction,
  { projectId, name, maxRunning, actor }: CredentialLimit,
): Promise<Credential> {
  if (maxRunning !== null && !(Number.isInteger(maxRunning) && maxRunning >= 0 && maxRunning <= MAX_RUNNING)) {
    const message = `must be a whole number from 0 to ${MAX_RUNNING}`;
    throw new InvalidInputError([{ path: ['input', 'maxRunning'], message }]);
  }
  const row = await trx
    .selectFrom('credentials')
    .select(CREDENTIAL_COLUMNS)
    .where('name', '=', name)
    .where('project_id', projectId === null ? 'is' : '=', projectId)
    .forUpdate()
    .executeTakeFirst();
  if (!row) throw new NotFoundError('credential', name);
  if (row.kind !== 'MODEL_API_KEY') {
    const message = `is of the kind ${row.kind}: only a MODEL_API_KEY has a limit`;
    throw new InvalidInputError([{ path: ['input', 'name'], message }]);
  }
  await trx.updateTable('credentials').set({ max_running: maxRunning }).where('id', '=', row.id).execute();
  const credential = toCredential({ ...row, max_running: maxRunning });
  await auditCredential(trx, { actor, action: 'setCredentialLimit', credential });
  await sql`select queue_limit_gate(${credential.id}, ${maxRunning})`.execute(trx);
  return credential;
}

export interface CredentialLimit {
  readonly projectId: string | null;
  readonly name: string;
  readonly maxRunning: number | null;
  readonly actor: string;
}

const MAX_RUNNING = 100_000;

/** Waiting builds that would use another key now wait for that one. Last in its transaction: nobody claims meanwhile. */
async function moveWaiting(trx: DatabaseTransaction, { kind, target }: Credential): Promise<void> {
  if (kind === 'MODEL_API_KEY') await sql`select queue_regate(${target})`.execute(trx);
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
    readonly action: 'setCredential' | 'setCredentialLimit' | 'deleteCredential';
    readonly credential: Credential;
  },
): Promise<void> {
  const { id, projectId, name, kind, target, maxRunning } = entry.credential;
  const detail = { name, kind, target, ...(maxRunning === null ? {} : { maxRunning }) };
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
