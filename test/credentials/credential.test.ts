import { randomBytes, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listCredentials, MAX_CREDENTIALS } from '../../src/credentials/credential.ts';
import type { CredentialInput } from '../../src/credentials/credential-input.ts';
import type { Keyring } from '../../src/credentials/keyring.ts';
import { readCredentials } from '../../src/credentials/read-credentials.ts';
import { seal } from '../../src/credentials/seal.ts';
import { deleteCredential, setCredential } from '../../src/credentials/set-credential.ts';
import { dumpDatabase, spellings } from '../e2e/find-secrets.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openTestKeyring } from './test-key.ts';

let database: TestDatabase;
let keyring: Keyring;
beforeAll(async () => {
  database = await openTestDatabase();
  keyring = await openTestKeyring(database.db);
});
afterAll(() => database[Symbol.asyncDispose]());

async function newProject(): Promise<string> {
  const id = randomUUID();
  await database.db
    .insertInto('projects')
    .values({ id, slug: `project-${id}`.slice(0, 40), name: 'Project', default_branch: 'main', created_by: 'test' })
    .execute();
  return id;
}

type Given = Omit<CredentialInput, 'projectId'>;

function set(projectId: string | null, given: Given) {
  const deps = { keyring, modelVariables: ['ANTHROPIC_API_KEY', 'OTHER_API_KEY'] };
  const input = { projectId, ...given };
  return database.db.transaction().execute((trx) => setCredential(trx, deps, { input, actor: 'token_test' }));
}

const remove = (projectId: string | null, name: string) =>
  database.db.transaction().execute((trx) => deleteCredential(trx, { projectId, name, actor: 'token_test' }));

const read = (projectId: string) => readCredentials({ db: database.db, keyring }, { projectId });

const valuesOf = async (projectId: string) => (await read(projectId)).opened.map(({ name, value }) => [name, value]);

const rowsOf = (projectId: string) =>
  database.db.selectFrom('credentials').selectAll().where('project_id', '=', projectId).orderBy('name').execute();

const modelKey = (name: string, key: string, variable = 'ANTHROPIC_API_KEY') => ({
  name,
  modelApiKey: { variable, key },
});
const newSigningSecret = (bytes = 32) => `whsec_${randomBytes(bytes).toString('base64')}`;

test('a secret of each kind is read again, the project’s own before those of all; no table shows them', async () => {
  const projectId = await newProject();
  const signing = newSigningSecret();
  const url = 'https://Git.Example:443/team/site.git';
  await set(projectId, { name: 'github', git: { url, username: 'bot', password: 'correct horse' } });
  await set(projectId, {
    name: 'model',
    modelApiKey: { variable: 'ANTHROPIC_API_KEY', key: 'own-horse', baseUrl: 'http://gw.example/v1' },
  });
  await set(projectId, { name: 'signing', callbackSigning: { secret: signing } });
  await set(projectId, { name: 'npm', registry: { url: 'https://npm.example/team', token: 'npm-horse' } });
  await set(null, modelKey('everybody', 'global-horse'));
  const { opened, unreadable } = await read(projectId);
  expect(unreadable).toEqual([]);
  expect(opened).toMatchObject([
    {
      name: 'github',
      kind: 'GIT',
      target: 'https://git.example',
      value: '{"username":"bot","password":"correct horse"}',
    },
    {
      name: 'model',
      kind: 'MODEL_API_KEY',
      target: 'ANTHROPIC_API_KEY',
      baseUrl: 'http://gw.example/v1',
      value: 'own-horse',
    },
    { name: 'npm', kind: 'REGISTRY', target: 'https://npm.example/team/', value: 'npm-horse' },
    { name: 'signing', kind: 'CALLBACK_SIGNING', target: null, value: signing },
    { name: 'everybody', projectId: null, value: 'global-horse' },
  ]);
  expect((await valuesOf(await newProject())).map(([name]) => name)).toEqual(['everybody']);
  const dump = await dumpDatabase(database.url);
  for (const secret of ['correct horse', 'own-horse', 'npm-horse', 'global-horse', signing.slice(6)]) {
    for (const spelled of spellings(secret)) expect(dump).not.toContain(spelled);
  }
  expect(Object.keys((await listCredentials(database.db, [projectId, null]))[0] ?? {}).join()).not.toMatch(
    /value|sealed/,
  );
  await remove(null, 'everybody');
});

test('who did it is in the audit log, in the same transaction', async () => {
  const projectId = await newProject();
  const { id } = await set(projectId, modelKey('model', 'a-long-key'));
  await remove(projectId, 'model');
  await expect(remove(projectId, 'model')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const entries = await database.db
    .selectFrom('audit_log')
    .selectAll()
    .where('subject_id', '=', id)
    .orderBy('id')
    .execute();
  const detail = { name: 'model', kind: 'MODEL_API_KEY', target: 'ANTHROPIC_API_KEY' };
  const common = { actor: 'token_test', subject_type: 'credential', project_id: projectId, detail };
  expect(entries).toMatchObject([
    { ...common, action: 'setCredential' },
    { ...common, action: 'deleteCredential' },
  ]);
});

test('setting it again replaces it: one row, also when several set, delete and read at once', async () => {
  const projectId = await newProject();
  const keys = Array.from({ length: 8 }, (_, index) => `value-no-${index}`);
  await Promise.all([
    ...keys.map((key) => set(projectId, modelKey('model', key))),
    ...keys.map(() => remove(projectId, 'model').catch(() => null)),
    ...keys.map(async () => {
      for (const [, value] of await valuesOf(projectId)) expect(keys).toContain(value);
    }),
  ]);
  await set(projectId, modelKey('model', 'the first'.replace(' ', '-')));
  const [before] = await rowsOf(projectId);
  await set(projectId, modelKey('model', 'the-last'));
  const rows = await rowsOf(projectId);
  expect(rows).toHaveLength(1);
  expect(await valuesOf(projectId)).toEqual([['model', 'the-last']]);
  expect(rows[0]).toMatchObject({ id: before?.id, created_at: before?.created_at, previous_sealed: null });
});

test('two for one target are refused by name of the target, and so is one too many', async () => {
  const projectId = await newProject();
  await set(projectId, modelKey('one', 'long-enough'));
  await expect(set(projectId, modelKey('two', 'long-enough'))).rejects.toThrow(/is for ANTHROPIC_API_KEY already/);
  for (let index = 1; index < MAX_CREDENTIALS; index += 1) {
    await set(projectId, {
      name: `npm${index}`,
      registry: { url: `https://npm${index}.example`, token: 'long-enough' },
    });
  }
  await expect(set(projectId, modelKey('other', 'long-enough', 'OTHER_API_KEY'))).rejects.toThrow(/50 credentials/);
  await set(projectId, modelKey('one', 'long-enough-again'));
});

describe('a row that was changed does not open, and says which', () => {
  const changes = {
    'another name': sql`name = 'other'`,
    'another project': sql`project_id = (select id from projects order by created_at desc, id limit 1)`,
    'all projects': sql`project_id = null`,
    'another target': sql`target = 'OTHER_API_KEY'`,
    'another address': sql`base_url = 'https://evil.example'`,
    'another text': sql`sealed = overlay(sealed placing 'AAAA' from length(sealed) - 10)`,
    'no JWE': sql`sealed = ''`,
  };
  test.each(Object.entries(changes))('%s', async (_what, change) => {
    const projectId = await newProject();
    const { id } = await set(projectId, modelKey('model', 'correct-horse'));
    await newProject();
    await sql`update credentials set ${change} where id = ${id}`.execute(database.db);
    const [row] = await database.db.selectFrom('credentials').selectAll().where('id', '=', id).execute();
    const { opened, unreadable } = await read(row?.project_id ?? projectId);
    expect(opened).toEqual([]);
    expect(unreadable).toMatchObject([
      { id, reason: expect.stringMatching(/was changed, or belongs to something else/) },
    ]);
    await database.db.deleteFrom('credentials').where('id', '=', id).execute();
  });
});

test('git credentials from before there were kinds open as they are', async () => {
  const projectId = await newProject();
  const [key] = keyring.keys;
  if (!key) throw new Error('there is a key');
  const text = '{"username":"bot","password":"correct horse"}';
  const sealed = await seal(key, { text, context: `${projectId}|git` });
  const place = { project_id: projectId, kind: 'GIT', target: 'https://git.example', sealed, key_id: key.id } as const;
  await database.db
    .insertInto('credentials')
    .values({ id: randomUUID(), name: 'git', ...place })
    .execute();
  expect(await valuesOf(projectId)).toEqual([['git', text]]);
});

const url = 'https://git.example/';
const refused: [string, Given, string][] = [
  ['no kind', { name: 'A' }, 'name'],
  ['two kinds', { ...modelKey('A', 'long-horse'), registry: { url, token: 'long-horse' } }, 'name'],
  ['a name that could be mistaken for two', modelKey('A|B', 'long-horse'), 'name'],
  ['the name of a project’s git credentials', modelKey('git', 'long-horse'), 'name'],
  ['a secret that cannot be redacted', modelKey('A', 'horse'), 'modelApiKey.key'],
  ['a key that is no header', modelKey('A', 'long horse\n'), 'modelApiKey.key'],
  ['a variable that no agent knows', modelKey('A', 'long-horse', 'LD_PRELOAD'), 'modelApiKey.variable'],
  [
    'a base URL with a password',
    { name: 'A', modelApiKey: { variable: 'OTHER_API_KEY', key: 'long-horse', baseUrl: 'https://a:horse@b' } },
    'modelApiKey.baseUrl',
  ],
  ['a password of two lines', { name: 'A', git: { url, username: 'u', password: 'long\nhorse' } }, 'git.password'],
  ['half a surrogate pair', { name: 'A', git: { url, username: 'u', password: 'long horse\ud800' } }, 'git.password'],
  [
    'a secret that is too large',
    { name: 'A', git: { url, username: 'u', password: 'horse'.repeat(1000) } },
    'git.password',
  ],
  [
    'an ssh repository',
    { name: 'A', git: { url: 'ssh://git@host/x', username: 'u', password: 'long horse' } },
    'git.url',
  ],
  [
    'a signing secret of 23 bytes',
    { name: 'A', callbackSigning: { secret: newSigningSecret(23) } },
    'callbackSigning.secret',
  ],
  [
    'a signing secret of 65 bytes',
    { name: 'A', callbackSigning: { secret: newSigningSecret(65) } },
    'callbackSigning.secret',
  ],
  [
    'a grace of a year',
    { name: 'A', callbackSigning: { secret: newSigningSecret(), graceSeconds: 31_536_000 } },
    'callbackSigning.graceSeconds',
  ],
  ['a token that npm would expand', { name: 'A', registry: { url, token: '$' + '{HOME}horse' } }, 'registry.token'],
  [
    'a registry that ends its line',
    { name: 'A', registry: { url: 'https://npm.example/a=b;c', token: 'long-horse' } },
    'registry.url',
  ],
];
test.each(refused)('%s is refused, without being repeated', async (_what, given, path) => {
  const projectId = await newProject();
  const error = await set(projectId, given).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: ['input', ...path.split('.')] }] });
  expect(String(error)).not.toMatch(/horse|whsec_[A-Za-z0-9+/]{8}/);
  expect(await rowsOf(projectId)).toEqual([]);
});
