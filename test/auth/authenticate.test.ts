import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiToken, type NewApiToken, revokeApiToken } from '../../src/auth/api-token.ts';
import { authenticate } from '../../src/auth/authenticate.ts';
import { openDatabase } from '../../src/database/database.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

const input: NewApiToken = {
  name: 'release bot',
  scopes: ['stats:read', 'builds:write', 'stats:read'],
  projectIds: null,
  expiresAt: null,
  createdBy: 'test',
};

const create = (changes: Partial<NewApiToken> = {}) => createApiToken(database.db, { ...input, ...changes });

async function lastUse(id: string): Promise<Date | null> {
  const row = await database.db.selectFrom('api_tokens').select('last_used_at').where('id', '=', id).executeTakeFirst();
  return row?.last_used_at ?? null;
}

test('a token is a viewer; the database has only its hash', async () => {
  const projectIds = [v7(), v7()];
  const expiresAt = new Date(Date.now() + 3_600_000);
  const { id, token } = await create({ projectIds, expiresAt });
  expect(await authenticate(database.db, `Bearer ${token}`)).toEqual({
    tokenId: id,
    secretVersion: 1,
    name: 'release bot',
    actor: `token_${id.replaceAll('-', '')}`,
    scopes: ['builds:write', 'stats:read'],
    projectIds,
    expiresAt,
  });
  expect(await authenticate(database.db, `bearer  ${token}`)).not.toBeNull();
  const { rows } = await sql<{ row: string }>`select t::text as row from api_tokens t`.execute(database.db);
  expect(JSON.stringify(rows)).not.toContain(token.slice(8, 40));
  expect(JSON.stringify(rows)).toContain(createHash('sha256').update(token).digest('hex'));
});

test('a revoked token is refused from the next request on', async () => {
  const { id, token } = await create();
  expect(await authenticate(database.db, `Bearer ${token}`)).not.toBeNull();
  await revokeApiToken(database.db, id, 'test');
  expect(await authenticate(database.db, `Bearer ${token}`)).toBeNull();
});

test('an expired token is refused, by the clock of the database', async () => {
  const { id, token } = await create({ expiresAt: new Date(Date.now() + 60_000) });
  expect(await authenticate(database.db, `Bearer ${token}`)).not.toBeNull();
  await sql`update api_tokens set expires_at = now() - interval '1 ms' where id = ${id}`.execute(database.db);
  expect(await authenticate(database.db, `Bearer ${token}`)).toBeNull();
});

test('what cannot be a token costs no query, what is unknown is refused', async () => {
  const { token } = await create();
  // Nobody listens there: every query fails.
  const url = 'postgres://postgres@127.0.0.1:1/none';
  const unreachable = openDatabase({ url, poolSize: 1, name: 'unreachable', logger: createLogger('silent') });
  const refused = [
    undefined,
    null,
    '',
    'Bearer',
    'Bearer ',
    token,
    `Basic ${token}`,
    `Bearer ${token}x`,
    `Bearer ${token} ${token}`,
    `Bearer ${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`,
    `Bearer slipway_${'a'.repeat(49)}`,
    `Bearer ${'a'.repeat(1_000_000)}`,
  ];
  for (const header of refused) expect(await authenticate(unreachable, header)).toBeNull();
  await expect(authenticate(unreachable, `Bearer ${token}`)).rejects.toThrow('ECONNREFUSED');
  await unreachable.destroy();
  await database.db.deleteFrom('api_tokens').where('name', '=', input.name).execute();
  expect(await authenticate(database.db, `Bearer ${token}`)).toBeNull();
});

test('the last use is written at most once a minute', async () => {
  const { id, token } = await create();
  expect(await lastUse(id)).toBeNull();
  await Promise.all(Array.from({ length: 5 }, () => authenticate(database.db, `Bearer ${token}`)));
  const first = await lastUse(id);
  expect(first).not.toBeNull();
  await authenticate(database.db, `Bearer ${token}`);
  expect(await lastUse(id)).toEqual(first);
  await sql`update api_tokens set last_used_at = now() - interval '61 s' where id = ${id}`.execute(database.db);
  const old = await lastUse(id);
  await authenticate(database.db, `Bearer ${token}`);
  expect(await lastUse(id)).not.toEqual(old);
});

test('a scope that this version does not know gives no rights', async () => {
  const { id, token } = await create();
  await sql`update api_tokens set scopes = '{root,workers}' where id = ${id}`.execute(database.db);
  expect((await authenticate(database.db, `Bearer ${token}`))?.scopes).toEqual(['workers']);
});
