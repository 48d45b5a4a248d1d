import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiToken } from '../../src/auth/api-token.ts';
import { authenticate } from '../../src/auth/authenticate.ts';
import { makeFirstToken } from '../../src/cli/first-token.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let dataFolder: string;

beforeAll(async () => {
  database = await openTestDatabase();
  dataFolder = await mkdtemp(join(tmpdir(), 'slipway-first-'));
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(dataFolder, { recursive: true, force: true });
});

const make = (anew: boolean) => makeFirstToken(database.db, { dataFolder, anew });
const works = async (token: string | null) => (await authenticate(database.db, `Bearer ${token}`)) !== null;

test('the first token is made once; another one takes its place, and leaves those of others', async () => {
  const first = await make(false);
  expect(await works(first)).toBe(true);
  expect(await make(false)).toBeNull();
  const rights = { scopes: ['builds:read'], projectIds: null, expiresAt: null, createdBy: 'somebody' } as const;
  const { token: other } = await createApiToken(database.db, { name: 'other', ...rights });
  const second = await make(true);
  expect([await works(first), await works(second), await works(other)]).toEqual([false, true, true]);
  const file = join(dataFolder, 'token');
  expect(await readFile(file, 'utf8')).toBe(`${second}\n`);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const entries = await database.db
    .selectFrom('audit_log')
    .select('action')
    .where('actor', '=', 'slipway up')
    .execute();
  expect(entries.map(({ action }) => action)).toEqual(['createApiToken', 'revokeApiToken', 'createApiToken']);
});
