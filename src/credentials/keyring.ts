/** The master keys of a process, held against what the database was sealed with. */
import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import { v7 } from 'uuid';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { MasterKeyTable } from '../database/tables.ts';
import { MasterKeyError } from '../errors.ts';
import { findMasterKeys, type MasterKey, type MasterKeyOptions, readMasterKeys } from './master-key.ts';
import { deriveKey, type KeySource, open, seal } from './seal.ts';

const ROOT_CONTEXT = 'callback root';
const ROOT_BYTES = 32;

export interface Keyring extends KeySource {
  /** Every derived callback secret comes from it; the same before and after a change of the master key. */
  readonly callbackRoot: KeyObject;
}

/**
 * Reads the keys, and makes the first one where there is none. The first process on a database decides which key is
 * its; throws MasterKeyError, with advice, in every later process that has not got that key.
 */
export async function openKeyring(db: Database, options: MasterKeyOptions): Promise<Keyring> {
  const source = await openKeySource(options);
  const state = (await findKeyState(db)) ?? (await createKeyState(db, source));
  if (!(await source.find(state.key_id))) throw wrongKey(state.key_id, source);
  const root = await open(source, { sealed: state.callback_root, contexts: [ROOT_CONTEXT] });
  return {
    get keys() {
      return source.keys;
    },
    find: (id) => source.find(id),
    callbackRoot: createSecretKey(Buffer.from(root, 'base64')),
  };
}

/** A key that is not known is looked for in the file again: whoever changes the key adds it there first. */
export async function openKeySource(options: MasterKeyOptions): Promise<KeySource> {
  let keys = (await readMasterKeys(options)).all;
  const find = (id: string) => keys.find((key) => key.id === id) ?? null;
  return {
    get keys() {
      return keys;
    },
    async find(id) {
      const known = find(id);
      if (known) return known;
      keys = (await findMasterKeys(options))?.all ?? keys;
      return find(id);
    },
  };
}

export async function findKeyState(db: Database | DatabaseTransaction): Promise<Selectable<MasterKeyTable> | null> {
  return (await db.selectFrom('master_key').selectAll().executeTakeFirst()) ?? null;
}

/** Seals with the current key, which cannot change before the caller's transaction ends. */
export async function sealCurrent(
  trx: DatabaseTransaction,
  source: KeySource,
  input: { readonly text: string; readonly context: string },
): Promise<{ readonly sealed: string; readonly keyId: string }> {
  const state = await trx.selectFrom('master_key').select('key_id').forShare().executeTakeFirst();
  const keyId = state?.key_id ?? 'unknown';
  const key = await source.find(keyId);
  if (!key) throw wrongKey(keyId, source);
  return { sealed: await seal(key, input), keyId };
}

/** The callback root under another key. */
export async function resealRoot(source: KeySource, sealedRoot: string, key: MasterKey): Promise<string> {
  const text = await open(source, { sealed: sealedRoot, contexts: [ROOT_CONTEXT] });
  return seal(key, { text, context: ROOT_CONTEXT });
}

/** A new callback root: every derived callback secret is another one then. */
export async function newRoot(key: MasterKey): Promise<string> {
  return seal(key, { text: randomBytes(ROOT_BYTES).toString('base64'), context: ROOT_CONTEXT });
}

/** Stands for a secret where only equality counts; nobody without the keys can try out what it was made of. */
export function fingerprint({ callbackRoot }: Pick<Keyring, 'callbackRoot'>, text: string): string {
  const key = fingerprintKeys.get(callbackRoot) ?? createSecretKey(deriveKey(callbackRoot, 'fingerprint'));
  fingerprintKeys.set(callbackRoot, key);
  return createHmac('sha256', key).update(text).digest('hex');
}

/** To derive one costs many times what its use does, and so does one that is no KeyObject. */
const fingerprintKeys = new WeakMap<KeyObject, KeyObject>();

/**
 * Dies before the commit: nothing was written. Of processes that come together, one writes. A database that was in use
 * before it had this row keeps the callback secrets that were derived from the key itself.
 */
async function createKeyState(db: Database, source: KeySource): Promise<Selectable<MasterKeyTable>> {
  const [newest] = source.keys;
  if (!newest) throw new Error('a key source has at least one key');
  return db.transaction().execute(async (trx) => {
    const used = await trx.selectFrom('credentials').select('key_id').distinct().limit(2).execute();
    const foreign = used.find(({ key_id: id }) => id !== newest.id);
    if (foreign) throw wrongKey(foreign.key_id, source);
    const project = await trx.selectFrom('projects').select('id').limit(1).executeTakeFirst();
    const root = newest.secret.export().toString('base64');
    const sealed = project ? await seal(newest, { text: root, context: ROOT_CONTEXT }) : await newRoot(newest);
    await trx
      .insertInto('master_key')
      .values({ id: v7(), key_id: newest.id, callback_root: sealed })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return trx.selectFrom('master_key').selectAll().executeTakeFirstOrThrow();
  });
}

function wrongKey(wanted: string, source: KeySource): MasterKeyError {
  const ours = source.keys.map(({ id }) => id).join(', ');
  return new MasterKeyError(
    `The secrets of this database are sealed with the master key ${wanted}, and this process has ${ours}.`,
    [
      'Give this process that key: set SLIPWAY_MASTER_KEY, or copy master.key from the data folder of a process that runs.',
      'If the key is lost, `slipway credential rotate-key --lost` deletes what nobody can open and begins anew.',
    ],
  );
}
