/**
 * Another master key: first it becomes the current one, then every secret is sealed anew with it. A process that dies
 * anywhere in between has lost nothing: both keys open, and the next call goes on where it stopped.
 */
import type { Selectable } from 'kysely';
import { audit } from '../database/audit.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { CredentialsTable } from '../database/tables.ts';
import { SlipwayError } from '../errors.ts';
import { type Credential, credentialContext, toCredential } from './credential.ts';
import { newRoot, resealRoot } from './keyring.ts';
import type { MasterKey } from './master-key.ts';
import { openCredential } from './read-credentials.ts';
import { type KeySource, seal } from './seal.ts';

/** Rows of one transaction. */
const BATCH = 100;
const NIL = '00000000-0000-0000-0000-000000000000';

export interface RotateDeps {
  readonly db: Database;
  readonly keys: KeySource;
  readonly actor: string;
}

export interface Rotation {
  /** The key before; the same as `keyId` when an interrupted rotation was finished. */
  readonly from: string;
  readonly keyId: string;
  /** Credentials that were sealed anew. */
  readonly resealed: number;
  /** Those that nobody with these keys can open; they are as they were. */
  readonly unreadable: readonly Credential[];
}

/** Makes the newest of the keys the current one, and seals everything with it. Throws UnavailableError. */
export async function rotateMasterKey({ db, keys, actor }: RotateDeps): Promise<Rotation> {
  const [newest] = keys.keys;
  if (!newest) throw new Error('a key source has at least one key');
  const from = await makeCurrent({ db, keys, actor }, newest);
  const unreadable: Credential[] = [];
  let resealed = 0;
  let after = NIL;
  for (;;) {
    const batch = await db.transaction().execute((trx) => resealBatch(trx, { keys, newest, after }));
    if (batch.last === null) return { from, keyId: newest.id, resealed, unreadable };
    resealed += batch.resealed;
    unreadable.push(...batch.unreadable);
    after = batch.last;
  }
}

/** How many credentials are sealed with another key than this one. */
export async function countOtherKeys(db: Database, keyId: string): Promise<number> {
  const row = await db
    .selectFrom('credentials')
    .select((one) => one.fn.countAll<number>().as('count'))
    .where('key_id', '!=', keyId)
    .executeTakeFirstOrThrow();
  return row.count;
}

/**
 * When the current key is lost: deletes the credentials that nobody can open, and begins anew with the newest key. The
 * derived callback secrets are others then. Returns what was deleted.
 */
export async function abandonLostKey({ db, keys, actor }: RotateDeps): Promise<readonly Credential[]> {
  const [newest] = keys.keys;
  if (!newest) throw new Error('a key source has at least one key');
  return db.transaction().execute(async (trx) => {
    const state = await trx.selectFrom('master_key').selectAll().forUpdate().executeTakeFirst();
    if (!state || (await keys.find(state.key_id))) return [];
    const known = keys.keys.map(({ id }) => id);
    const lost = await trx.deleteFrom('credentials').where('key_id', 'not in', known).returningAll().execute();
    const set = { key_id: newest.id, callback_root: await newRoot(newest), rotated_at: new Date() };
    await trx.updateTable('master_key').set(set).execute();
    const detail = { from: state.key_id, to: newest.id, deleted: lost.map(({ name }) => name).slice(0, BATCH) };
    await auditKey(trx, { id: state.id, actor, action: 'abandonMasterKey', detail });
    return lost.map(toCredential);
  });
}

/** One transaction; whoever stores a secret waits for it, or it waits for him. Returns the key before. */
async function makeCurrent({ db, keys, actor }: RotateDeps, newest: MasterKey): Promise<string> {
  return db.transaction().execute(async (trx) => {
    const state = await trx.selectFrom('master_key').selectAll().forUpdate().executeTakeFirst();
    if (!state) throw new Error('a database without a current key has nothing to rotate');
    if (state.key_id === newest.id) return newest.id;
    const root = await resealRoot(keys, state.callback_root, newest);
    const set = { key_id: newest.id, callback_root: root, rotated_at: new Date() };
    await trx.updateTable('master_key').set(set).execute();
    const detail = { from: state.key_id, to: newest.id };
    await auditKey(trx, { id: state.id, actor, action: 'rotateMasterKey', detail });
    return state.key_id;
  });
}

interface Batch {
  /** Null when there is nothing left. */
  readonly last: string | null;
  readonly resealed: number;
  readonly unreadable: readonly Credential[];
}

/** What cannot be opened is left as it is and passed by. */
async function resealBatch(
  trx: DatabaseTransaction,
  { keys, newest, after }: { readonly keys: KeySource; readonly newest: MasterKey; readonly after: string },
): Promise<Batch> {
  const rows = await trx
    .selectFrom('credentials')
    .selectAll()
    .where('key_id', '!=', newest.id)
    .where('id', '>', after)
    .orderBy('id')
    .limit(BATCH)
    .forUpdate()
    .execute();
  const unreadable: Credential[] = [];
  for (const row of rows) {
    const set = await resealRow(keys, newest, row);
    if (set) await trx.updateTable('credentials').set(set).where('id', '=', row.id).execute();
    else unreadable.push(toCredential(row));
  }
  return { last: rows.at(-1)?.id ?? null, resealed: rows.length - unreadable.length, unreadable };
}

async function resealRow(keys: KeySource, newest: MasterKey, row: Selectable<CredentialsTable>) {
  const context = credentialContext(row);
  const again = async (sealed: string) => seal(newest, { text: await openCredential(keys, row, sealed), context });
  try {
    const previous = row.previous_sealed === null ? null : await again(row.previous_sealed);
    return { sealed: await again(row.sealed), previous_sealed: previous, key_id: newest.id };
  } catch (error) {
    if (error instanceof SlipwayError) return null;
    throw error;
  }
}

async function auditKey(
  trx: DatabaseTransaction,
  entry: {
    readonly id: string;
    readonly actor: string;
    readonly action: string;
    readonly detail: Record<string, unknown>;
  },
): Promise<void> {
  const { id, actor, action, detail } = entry;
  await audit(trx, { actor, action, subjectType: 'credential', subjectId: id, projectId: null, detail });
}
