import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CredentialDeps, readCredential, setCredential } from '../../src/credentials/credential.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { newMasterKey } from './test-key.ts';

let database: TestDatabase;
let deps: CredentialDeps;
beforeAll(async () => {
  database = await openTestDatabase();
  deps = { db: database.db, masterKey: await newMasterKey() };
});
afterAll(() => database[Symbol.asyncDispose]());

async function newProject(): Promise<string> {
  const id = randomUUID();
  await deps.db
    .insertInto('projects')
    .values({ id, slug: `project-${id}`.slice(0, 40), name: 'Project', default_branch: 'main', created_by: 'test' })
    .execute();
  return id;
}

function rowsOf(projectId: string) {
  return deps.db.selectFrom('credentials').selectAll().where('project_id', '=', projectId).orderBy('name').execute();
}

test('a secret is read again by its project and name; the row does not show it', async () => {
  const projectId = await newProject();
  await setCredential(deps, { projectId, name: 'GIT_TOKEN', value: 'correct horse' });
  expect(await readCredential(deps, { projectId, name: 'GIT_TOKEN' })).toBe('correct horse');
  expect(await readCredential(deps, { projectId, name: 'OTHER' })).toBeNull();
  expect(await readCredential(deps, { projectId: await newProject(), name: 'GIT_TOKEN' })).toBeNull();
  expect(JSON.stringify(await rowsOf(projectId))).not.toContain('horse');
});

test('setting it again replaces it: one row, also when several do it at once', async () => {
  const projectId = await newProject();
  const name = 'GIT_TOKEN';
  const values = Array.from({ length: 8 }, (_, index) => `value ${index}`);
  await Promise.all(values.map((value) => setCredential(deps, { projectId, name, value })));
  expect(await rowsOf(projectId)).toHaveLength(1);
  expect(values).toContain(await readCredential(deps, { projectId, name }));
  const [before] = await rowsOf(projectId);
  await setCredential(deps, { projectId, name, value: 'the last' });
  const [after] = await rowsOf(projectId);
  expect(await readCredential(deps, { projectId, name })).toBe('the last');
  expect(after).toMatchObject({ id: before?.id, created_at: before?.created_at });
  expect(after?.updated_at.getTime()).toBeGreaterThanOrEqual(before?.updated_at.getTime() ?? Number.NaN);
});

test('a row that was copied to another name or project does not open', async () => {
  const [projectId, other] = [await newProject(), await newProject()];
  await setCredential(deps, { projectId, name: 'A', value: 'correct horse' });
  const [row] = await rowsOf(projectId);
  const sealed = row?.sealed ?? '';
  await deps.db
    .insertInto('credentials')
    .values([
      { id: randomUUID(), project_id: projectId, name: 'B', sealed },
      { id: randomUUID(), project_id: other, name: 'A', sealed },
    ])
    .execute();
  await expect(readCredential(deps, { projectId, name: 'B' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await expect(readCredential(deps, { projectId: other, name: 'A' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test.each([
  ['an empty value', { name: 'A', value: '' }],
  ['a value with NUL', { name: 'A', value: 'horse\0' }],
  ['half a surrogate pair', { name: 'A', value: 'horse\ud800' }],
  ['a value that is too large', { name: 'A', value: 'horse'.repeat(14_000) }],
  ['no name', { name: '', value: 'horse' }],
  ['a name that could be mistaken for two', { name: 'A|B', value: 'horse' }],
])('%s is refused, without being repeated', async (_what, input) => {
  const projectId = await newProject();
  const error = await setCredential(deps, { projectId, ...input }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'INVALID_INPUT' });
  expect(String(error)).not.toContain('horse');
  expect(await rowsOf(projectId)).toEqual([]);
});
