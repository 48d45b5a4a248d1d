import { createSecretKey, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { callbackSecret } from '../../src/credentials/callback-secret.ts';
import { openKeyring } from '../../src/credentials/keyring.ts';
import { addMasterKey } from '../../src/credentials/master-key.ts';
import { readCredentials } from '../../src/credentials/read-credentials.ts';
import { abandonLostKey, countOtherKeys, rotateMasterKey } from '../../src/credentials/rotate-master-key.ts';
import type { KeySource } from '../../src/credentials/seal.ts';
import { setCredential } from '../../src/credentials/set-credential.ts';
import { readSigningSecrets } from '../../src/credentials/signing-secrets.ts';
import { insertProject } from '../callbacks/finished-builds.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';
import { newKeySource, newKeyText, openTestKeyring } from './test-key.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await openTestDatabase();
});
afterEach(() => database[Symbol.asyncDispose]());

function set(keyring: KeySource, projectId: string | null, name: string, token: string) {
  const input = { projectId, name, registry: { url: `https://${name}.example`, token } };
  return database.db
    .transaction()
    .execute((trx) => setCredential(trx, { keyring, modelVariables: [] }, { input, actor: 'test' }));
}

async function tokensOf(keyring: KeySource, projectId: string) {
  const { opened, unreadable } = await readCredentials({ db: database.db, keyring }, { projectId });
  return { tokens: opened.map(({ value }) => value), unreadable: unreadable.map(({ name }) => name) };
}

const idOf = async (text: string) => (await newKeySource(text)).keys[0]?.id ?? '';

test('one key is the database’s: a process with another one is refused, and told what to do', async () => {
  const [ours, theirs] = [newKeyText(), newKeyText()];
  await openTestKeyring(database.db, ours);
  await openTestKeyring(database.db, theirs, ours);
  const error = await openTestKeyring(database.db, theirs).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'WRONG_MASTER_KEY', hints: expect.arrayContaining([expect.anything()]) });
  expect(String(error)).toContain(`${await idOf(ours)}, and this process has ${await idOf(theirs)}`);
  expect(String(error)).not.toContain(theirs.slice(0, 8));
});

test('of processes that are first together one decides', async () => {
  const texts = Array.from({ length: 8 }, newKeyText);
  const opened = await Promise.allSettled(texts.map((text) => openTestKeyring(database.db, text)));
  const refused = opened.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []));
  expect(refused).toEqual(Array.from({ length: 7 }, () => 'WRONG_MASTER_KEY'));
});

test('a database that was in use before keeps its callback secrets, and is not taken over by another key', async () => {
  const text = newKeyText();
  const projectId = await insertProject(database.db);
  const before = { callbackRoot: createSecretKey(Buffer.from(text, 'base64')) };
  const keyId = await idOf(text);
  const row = {
    id: randomUUID(),
    project_id: projectId,
    name: 'git',
    kind: 'GIT',
    target: 'https://a.example',
  } as const;
  await database.db
    .insertInto('credentials')
    .values({ ...row, sealed: 'x', key_id: keyId })
    .execute();
  await expect(openTestKeyring(database.db, newKeyText())).rejects.toMatchObject({ code: 'WRONG_MASTER_KEY' });
  const keyring = await openTestKeyring(database.db, text);
  const input = { projectId, version: 1 };
  expect(callbackSecret(keyring, input)).toBe(callbackSecret(before, input));
});

test('after a rotation the new key opens everything alone, and no callback secret has changed', async () => {
  const [old, next] = [newKeyText(), newKeyText()];
  const before = await openTestKeyring(database.db, old);
  const projectId = await insertProject(database.db);
  await set(before, projectId, 'own', 'own-token');
  await set(before, null, 'global', 'global-token');
  // Between the first restart and the rotation: the database's key still seals, so that older processes can read.
  const both = await openTestKeyring(database.db, next, old);
  await set(both, projectId, 'between', 'between-token');
  expect((await tokensOf(before, projectId)).tokens).toEqual(['between-token', 'own-token', 'global-token']);

  const keys = await newKeySource(next, old);
  const rotation = await rotateMasterKey({ db: database.db, keys, actor: 'test' });
  expect(rotation).toMatchObject({ from: await idOf(old), keyId: await idOf(next), resealed: 3, unreadable: [] });
  const after = await openTestKeyring(database.db, next);
  expect(await tokensOf(after, projectId)).toEqual({
    tokens: ['between-token', 'own-token', 'global-token'],
    unreadable: [],
  });
  const input = { projectId, version: 1 };
  expect(callbackSecret(after, input)).toBe(callbackSecret(before, input));
  expect(await rotateMasterKey({ db: database.db, keys, actor: 'test' })).toMatchObject({ resealed: 0 });
  await expect(openTestKeyring(database.db, old)).rejects.toMatchObject({ code: 'WRONG_MASTER_KEY' });
  await expect(set(before, projectId, 'late', 'late-token')).rejects.toMatchObject({ code: 'WRONG_MASTER_KEY' });
  const audited = database.db
    .selectFrom('audit_log')
    .select(['action', 'detail'])
    .where('action', '=', 'rotateMasterKey');
  expect(await audited.execute()).toEqual([
    { action: 'rotateMasterKey', detail: { from: await idOf(old), to: await idOf(next) } },
  ]);
});

test('what is set while a rotation runs is sealed with the new key when it has ended', async () => {
  const [old, next] = [newKeyText(), newKeyText()];
  await openTestKeyring(database.db, old);
  const both = await openTestKeyring(database.db, next, old);
  const projectId = await insertProject(database.db);
  const names = Array.from({ length: 20 }, (_, index) => `npm${index}`);
  await Promise.all(names.map((name) => set(both, projectId, name, 'before-token')));
  const rotation = rotateMasterKey({ db: database.db, keys: both, actor: 'test' });
  await Promise.all([rotation, ...names.map((name) => set(both, projectId, name, 'after-token'))]);
  expect(await countOtherKeys(database.db, await idOf(next))).toBe(0);
  const { tokens, unreadable } = await tokensOf(await openTestKeyring(database.db, next), projectId);
  expect({ unreadable, tokens: new Set(tokens) }).toEqual({ unreadable: [], tokens: new Set(['after-token']) });
});

test('a rotation waits for whoever has sealed with the old key and not yet committed', async () => {
  const [old, next] = [newKeyText(), newKeyText()];
  await openTestKeyring(database.db, old);
  const both = await openTestKeyring(database.db, next, old);
  const projectId = await insertProject(database.db);
  const sealed = Promise.withResolvers<void>();
  const mayCommit = Promise.withResolvers<void>();
  const input = { projectId, name: 'slow', registry: { url: 'https://slow.example', token: 'slow-token' } };
  const slow = database.db.transaction().execute(async (trx) => {
    await setCredential(trx, { keyring: both, modelVariables: [] }, { input, actor: 'test' });
    sealed.resolve();
    await mayCommit.promise;
  });
  await sealed.promise;
  let ended = false;
  const rotation = rotateMasterKey({ db: database.db, keys: both, actor: 'test' }).finally(() => {
    ended = true;
  });
  const isWaiting = async () =>
    (
      await sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
        database.db,
      )
    ).rows.length > 0;
  await waitFor(async () => ended || (await isWaiting()));
  mayCommit.resolve();
  await Promise.all([slow, rotation]);
  expect(await countOtherKeys(database.db, await idOf(next))).toBe(0);
  expect((await tokensOf(await openTestKeyring(database.db, next), projectId)).tokens).toEqual(['slow-token']);
});

test('a signing secret that steps back while a rotation is interrupted is sealed anew by the next one', async () => {
  const [old, next] = [newKeyText(), newKeyText()];
  const before = await openTestKeyring(database.db, old);
  const projectId = await insertProject(database.db);
  const secrets = ['first', 'second'].map((word) => `whsec_${Buffer.from(word.padEnd(24)).toString('base64')}`);
  const sign = (keyring: KeySource, secret = '') => {
    const input = { projectId, name: 'signing', callbackSigning: { secret } };
    const deps = { keyring, modelVariables: [] };
    return database.db.transaction().execute((trx) => setCredential(trx, deps, { input, actor: 'test' }));
  };
  await sign(before, secrets[0]);
  const row = await database.db.selectFrom('credentials').selectAll().executeTakeFirstOrThrow();
  const both = await openTestKeyring(database.db, next, old);
  const rotate = () => rotateMasterKey({ db: database.db, keys: both, actor: 'test' });
  await rotate();
  // As a rotation leaves it that died before this row.
  await database.db.updateTable('credentials').set({ sealed: row.sealed, key_id: row.key_id }).execute();
  await sign(both, secrets[1]);
  expect(await rotate()).toMatchObject({ resealed: 1 });
  const keyring = await openTestKeyring(database.db, next);
  const signing = { projectId, secretVersion: 1 };
  expect(await readSigningSecrets({ db: database.db, keyring }, signing)).toEqual(secrets.toReversed());
});

test('a row that cannot be opened is told and passed by', async () => {
  const [old, next] = [newKeyText(), newKeyText()];
  const before = await openTestKeyring(database.db, old);
  const projectId = await insertProject(database.db);
  for (const name of ['a', 'b', 'c']) await set(before, projectId, name, `${name}-long-token`);
  await sql`update credentials set target = 'https://evil.example/' where name = 'b'`.execute(database.db);
  const rotation = await rotateMasterKey({ db: database.db, keys: await newKeySource(next, old), actor: 'test' });
  expect(rotation).toMatchObject({ resealed: 2, unreadable: [{ name: 'b' }] });
  const after = await tokensOf(await openTestKeyring(database.db, next), projectId);
  expect(after).toEqual({ tokens: ['a-long-token', 'c-long-token'], unreadable: ['b'] });
});

test('when the key is lost, what nobody can open is deleted, and the rest goes on', async () => {
  const [lost, next] = [newKeyText(), newKeyText()];
  const before = await openTestKeyring(database.db, lost);
  const projectId = await insertProject(database.db);
  await set(before, projectId, 'own', 'own-long-token');
  const keys = await newKeySource(next);
  expect(await abandonLostKey({ db: database.db, keys, actor: 'test' })).toMatchObject([{ name: 'own' }]);
  const after = await openTestKeyring(database.db, next);
  expect(await tokensOf(after, projectId)).toEqual({ tokens: [], unreadable: [] });
  expect(await abandonLostKey({ db: database.db, keys, actor: 'test' })).toEqual([]);
  const input = { projectId, version: 1 };
  expect(callbackSecret(after, input)).not.toBe(callbackSecret(before, input));
});

test('a process that runs on the file finds the new key in it', async () => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'slipway-rotate-'));
  try {
    const options = { masterKey: null, dataFolder };
    const running = await openKeyring(database.db, options);
    const projectId = await insertProject(database.db);
    await set(running, projectId, 'own', 'own-long-token');
    await addMasterKey(join(dataFolder, 'master.key'));
    await rotateMasterKey({ db: database.db, keys: await openKeyring(database.db, options), actor: 'test' });
    expect((await tokensOf(running, projectId)).tokens).toEqual(['own-long-token']);
    await set(running, projectId, 'later', 'later-long-token');
    expect(await countOtherKeys(database.db, running.keys[0]?.id ?? '')).toBe(0);
  } finally {
    await rm(dataFolder, { recursive: true, force: true });
  }
});
