import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callbackSecret } from '../../src/credentials/callback-secret.ts';
import type { Keyring } from '../../src/credentials/keyring.ts';
import { deleteCredential, setCredential } from '../../src/credentials/set-credential.ts';
import { forgetEndedGrace, readSigningSecrets } from '../../src/credentials/signing-secrets.ts';
import { insertProject } from '../callbacks/finished-builds.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openTestKeyring } from './test-key.ts';

let database: TestDatabase;
let keyring: Keyring;
beforeAll(async () => {
  database = await openTestDatabase();
  keyring = await openTestKeyring(database.db);
});
afterAll(() => database[Symbol.asyncDispose]());

async function set(projectId: string | null, graceSeconds?: number, name = 'signing'): Promise<string> {
  const secret = `whsec_${randomBytes(24).toString('base64')}`;
  const input = { projectId, name, callbackSigning: { secret, graceSeconds } };
  const deps = { keyring, modelVariables: [] };
  await database.db.transaction().execute((trx) => setCredential(trx, deps, { input, actor: 'test' }));
  return secret;
}

const secretsOf = (projectId: string) =>
  readSigningSecrets({ db: database.db, keyring }, { projectId, secretVersion: 1 });

/** As if this much time had passed. */
const age = (interval: string) =>
  sql`update credentials set previous_until = previous_until - ${interval}::interval`.execute(database.db);

test('without a credential the derived one signs; then the new one, and for its grace the one before', async () => {
  const projectId = await insertProject(database.db);
  const derived = callbackSecret(keyring, { projectId, version: 1 });
  expect(await secretsOf(projectId)).toEqual([derived]);
  const first = await set(projectId, 60);
  expect(await secretsOf(projectId)).toEqual([first, derived]);
  const second = await set(projectId, 60);
  expect(await secretsOf(projectId)).toEqual([second, first]);
  await age('61 seconds');
  expect(await secretsOf(projectId)).toEqual([second]);
  // What is of no use any more disturbs nobody, be it damaged.
  await sql`update credentials set previous_sealed = 'x'`.execute(database.db);
  expect(await secretsOf(projectId)).toEqual([second]);
  await forgetEndedGrace(database.db);
  const [row] = await database.db.selectFrom('credentials').selectAll().where('project_id', '=', projectId).execute();
  expect(row).toMatchObject({ previous_sealed: null, previous_until: null });
  expect(await secretsOf(projectId)).toEqual([second]);
  expect(await secretsOf(await insertProject(database.db))).toHaveLength(1);
});

test('a grace of 0 ends the one before at once; the default is a day', async () => {
  const projectId = await insertProject(database.db);
  const first = await set(projectId, 0);
  expect(await secretsOf(projectId)).toEqual([first]);
  const second = await set(projectId);
  await age('23 hours');
  expect(await secretsOf(projectId)).toEqual([second, first]);
  await age('1 hour');
  expect(await secretsOf(projectId)).toEqual([second]);
});

test('one for all projects signs where a project has none of its own, and comes back when that is deleted', async () => {
  const projectId = await insertProject(database.db);
  const everybody = await set(null, 60, 'everybody');
  expect(await secretsOf(projectId)).toEqual([everybody, callbackSecret(keyring, { projectId, version: 1 })]);
  const own = await set(projectId, 60);
  expect(await secretsOf(projectId)).toEqual([own, everybody]);
  await database.db
    .transaction()
    .execute((trx) => deleteCredential(trx, { projectId, name: 'signing', actor: 'test' }));
  expect((await secretsOf(projectId))[0]).toBe(everybody);
  await database.db
    .transaction()
    .execute((trx) => deleteCredential(trx, { projectId: null, name: 'everybody', actor: 'test' }));
});

test('a credential that cannot be opened is not passed by: nothing is signed with another secret', async () => {
  const projectId = await insertProject(database.db);
  await set(projectId);
  await sql`update credentials set sealed = '' where project_id = ${projectId}`.execute(database.db);
  await expect(secretsOf(projectId)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('one that is not needed and cannot be opened delays nothing', async () => {
  const projectId = await insertProject(database.db);
  await set(null, 0, 'everybody');
  const own = await set(projectId, 60);
  await sql`update credentials set sealed = '' where name = 'everybody'`.execute(database.db);
  // It signs beside the new one until the grace is over.
  await expect(secretsOf(projectId)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await age('61 seconds');
  expect(await secretsOf(projectId)).toEqual([own]);
  await expect(secretsOf(await insertProject(database.db))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
