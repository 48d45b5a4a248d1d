import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createApiToken,
  listApiTokens,
  MAX_GRACE_SECONDS,
  MAX_VALID_TOKENS,
  type NewApiToken,
  revokeApiToken,
  rotateApiToken,
} from '../../src/auth/api-token.ts';
import { authenticate } from '../../src/auth/authenticate.ts';
import { findLostSecrets } from '../../src/auth/find-lost-secrets.ts';
import type { Keyset } from '../../src/database/keyset.ts';
import { InvalidInputError, NotFoundError } from '../../src/errors.ts';
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
  scopes: ['builds:write', 'stats:read'],
  projectIds: null,
  expiresAt: null,
  createdBy: 'test',
};
const NEWEST: Keyset = { direction: 'desc', after: null, before: null, limit: 10, fromEnd: false };

const create = (changes: Partial<NewApiToken> = {}) => createApiToken(database.db, { ...input, ...changes });
const rotate = (id: string, graceSeconds: number) => rotateApiToken(database.db, { id, graceSeconds }, 'test');
const viewerOf = (token: string) => authenticate(database.db, `Bearer ${token}`);

async function refusal(work: Promise<unknown>): Promise<InvalidInputError> {
  const error: unknown = await work.catch((reason: unknown) => reason);
  if (error instanceof InvalidInputError) return error;
  throw new Error(`expected a refusal, got ${String(error)}`);
}

const set = (id: string, column: 'expires_at' | 'previous_until') =>
  sql`update api_tokens set ${sql.ref(column)} = now() - interval '1 ms' where id = ${id}`.execute(database.db);

test.each<[string, Partial<NewApiToken>]>([
  ['name', { name: ' ' }],
  ['name', { name: 'a'.repeat(101) }],
  ['name', { name: 'a\0' }],
  ['scopes', { scopes: [] }],
  ['scopes', { scopes: ['root' as 'admin'] }],
  ['projectIds', { projectIds: [] }],
  ['projectIds', { projectIds: ["'; drop table projects"] }],
  ['expiresAt', { expiresAt: new Date(Date.now() - 1) }],
])('a token with a wrong %s is not made', async (field, changes) => {
  expect((await refusal(create(changes))).issues.map(({ path }) => path[0])).toEqual([field]);
});

test('a rotated token is the same viewer with another secret, and the secret before goes on for the grace', async () => {
  const { id, token: first } = await create({ projectIds: [v7()] });
  const before = await viewerOf(first);
  const { token: second, apiToken } = await rotate(id, 60);
  const [old, fresh] = await Promise.all([viewerOf(first), viewerOf(second)]);
  expect(fresh).toEqual({ ...before, secretVersion: 2 });
  expect(old).toEqual({ ...before, expiresAt: apiToken.previousUntil });
  expect(apiToken).toMatchObject({ id, rotatedAt: expect.any(Date), expiresAt: null });
  expect(apiToken.previousUntil?.getTime()).toBe((apiToken.rotatedAt?.getTime() ?? 0) + 60_000);
  await set(id, 'previous_until');
  expect(await viewerOf(first)).toBeNull();
  expect(await viewerOf(second)).toEqual(fresh);
});

test('a grace of 0 ends the present secret at once', async () => {
  const { id, token: first } = await create();
  const { token: second, apiToken } = await rotate(id, 0);
  expect(apiToken.previousUntil).toBeNull();
  expect([await viewerOf(first), (await viewerOf(second))?.tokenId]).toEqual([null, id]);
});

test('at most two secrets work: rotating again ends the oldest one', async () => {
  const { id, token: first } = await create();
  const { token: second } = await rotate(id, 60);
  const { token: third } = await rotate(id, 60);
  const versions = await Promise.all(
    [first, second, third].map(async (token) => (await viewerOf(token))?.secretVersion),
  );
  expect(versions).toEqual([undefined, 2, 3]);
  const shown = [1, 2, 3].map((secretVersion) => ({ tokenId: id, secretVersion }));
  expect(await findLostSecrets(database.db, shown)).toEqual(shown.slice(0, 1));
});

test('no secret outlives its token, whatever the grace', async () => {
  const expiresAt = new Date(Date.now() + 30_000);
  const { id, token: first } = await create({ expiresAt });
  const { token: second } = await rotate(id, MAX_GRACE_SECONDS);
  expect((await viewerOf(first))?.expiresAt).toEqual(expiresAt);
  await set(id, 'expires_at');
  expect([await viewerOf(first), await viewerOf(second)]).toEqual([null, null]);
  const revoked = await create();
  const { token: last } = await rotate(revoked.id, 60);
  await revokeApiToken(database.db, revoked.id, 'test');
  expect([await viewerOf(revoked.token), await viewerOf(last)]).toEqual([null, null]);
});

test('two rotations at the same moment give two secrets, of which the database has both', async () => {
  const { id, token: first } = await create();
  const rotated = await Promise.all([rotate(id, 60), rotate(id, 60)]);
  const versions = await Promise.all(rotated.map(async ({ token }) => (await viewerOf(token))?.secretVersion));
  expect(versions.toSorted()).toEqual([2, 3]);
  expect(await viewerOf(first)).toBeNull();
});

test('what does not work is not rotated', async () => {
  const { id } = await create();
  for (const graceSeconds of [-1, 0.5, Number.NaN, MAX_GRACE_SECONDS + 1]) {
    expect((await refusal(rotate(id, graceSeconds))).issues).toMatchObject([{ path: ['graceSeconds'] }]);
  }
  await expect(rotate(v7(), 0)).rejects.toThrow(NotFoundError);
  await revokeApiToken(database.db, id, 'test');
  expect((await refusal(rotate(id, 0))).issues[0]?.message).toContain('make a new token');
});

test('revoking twice changes nothing, and what is not there is not found', async () => {
  const { id } = await create();
  const revoked = await revokeApiToken(database.db, id, 'test');
  expect(await revokeApiToken(database.db, id, 'test')).toEqual(revoked);
  await expect(revokeApiToken(database.db, v7(), 'test')).rejects.toThrow(NotFoundError);
});

test('whatever is done to a token is in the audit log once, without its secret', async () => {
  const { id, token } = await create({ name: 'audited', createdBy: 'somebody' });
  const { token: second } = await rotateApiToken(database.db, { id, graceSeconds: 5 }, 'rotator');
  await revokeApiToken(database.db, id, 'revoker');
  await revokeApiToken(database.db, id, 'revoker');
  const rows = await database.db
    .selectFrom('audit_log')
    .select(['actor', 'action', 'subject_type', 'project_id', 'detail'])
    .where('subject_id', '=', id)
    .orderBy('id')
    .execute();
  const of = { subject_type: 'token', project_id: null };
  const detail = { name: 'audited', scopes: ['builds:write', 'stats:read'], projectIds: null, expiresAt: null };
  expect(rows).toEqual([
    { ...of, actor: 'somebody', action: 'createApiToken', detail },
    { ...of, actor: 'rotator', action: 'rotateApiToken', detail: { graceSeconds: 5 } },
    { ...of, actor: 'revoker', action: 'revokeApiToken', detail: {} },
  ]);
  for (const text of [token, second]) expect(JSON.stringify(rows)).not.toContain(text.slice(8, 40));
});

test('the list has the newest first, pages, and no hashes', async () => {
  const ids = [
    (await create({ name: 'older' })).id,
    (await create({ name: 'newer' })).id,
    (await create()).id,
  ].reverse();
  const list = (filter: Parameters<typeof listApiTokens>[1], changes: Partial<Keyset> = {}) =>
    listApiTokens(database.db, filter, { ...NEWEST, ...changes });
  const idsOf = async (...args: Parameters<typeof list>) => (await list(...args)).map(({ id }) => id);
  expect(await idsOf({ onlyValid: true }, { limit: 2 })).toEqual(ids.slice(0, 2));
  expect(await idsOf({ onlyValid: true }, { after: ids[1] ?? '', limit: 1 })).toEqual(ids.slice(2));
  const [newest] = await list({ onlyValid: true });
  expect(newest).toMatchObject({ revokedAt: null, lastUsedAt: null, rotatedAt: null, previousUntil: null });
  expect(JSON.stringify(newest)).not.toMatch(/hash/i);
  await revokeApiToken(database.db, ids[0] ?? '', 'test');
  await set(ids[1] ?? '', 'expires_at');
  expect((await idsOf({ onlyValid: true }))[0]).toBe(ids[2]);
  expect(await idsOf({ onlyValid: false }, { limit: 3 })).toEqual(ids);
  expect(await idsOf({ onlyValid: false, createdBy: 'nobody' })).toEqual([]);
});

test(`${MAX_VALID_TOKENS} tokens work at the same time, also when several are made at once`, async () => {
  const { db } = database;
  const { count } = await db
    .selectFrom('valid_token_secrets')
    .select((select) => select.fn.count<number>('token_id').distinct().as('count'))
    .executeTakeFirstOrThrow();
  const room = MAX_VALID_TOKENS - Number(count) - 1;
  await sql`insert into api_tokens (id, name, hash, scopes, created_by)
            select gen_random_uuid(), 'many', sha256(n::text::bytea), '{admin}', 'test'
              from generate_series(1, ${room}) as n`.execute(db);
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => create()));
  const made = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.id] : []));
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
  expect([made.length, new Set(refused)]).toEqual([1, new Set(['TOKEN_LIMIT'])]);
  const [id = ''] = made;
  await revokeApiToken(db, id, 'test');
  await expect(create()).resolves.toHaveProperty('token');
});
