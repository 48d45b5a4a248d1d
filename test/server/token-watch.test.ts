import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApiToken, revokeApiToken } from '../../src/auth/api-token.ts';
import { openDatabase } from '../../src/database/database.ts';
import { TokenWatch } from '../../src/server/token-watch.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

async function createToken(): Promise<string> {
  const rights = { scopes: ['admin'], projectIds: null, expiresAt: null } as const;
  return (await createApiToken(database.db, { name: 'test', createdBy: 'test', ...rights })).id;
}

it('tells each watcher of a lost token, and no other', async () => {
  const [lost, kept] = await Promise.all([createToken(), createToken()]);
  using tokens = new TokenWatch({ db: database.db, logger: createLogger('silent'), everyMs: 10 });
  const told: string[] = [];
  tokens.watch(lost, () => told.push('first'));
  tokens.watch(kept, () => told.push('kept'));
  tokens.watch(lost, () => told.push('second'));
  const off = tokens.watch(lost, () => told.push('off'));
  off();
  await revokeApiToken(database.db, lost);
  await waitFor(() => told.length >= 2);
  expect(new Set(told)).toEqual(new Set(['first', 'second']));
});

it('takes no token away while the database does not answer', async () => {
  const lines: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line) => void lines.push(line) });
  const db = openDatabase({ url: 'postgres://slipway@127.0.0.1:1/slipway', poolSize: 1, name: 'cut off', logger });
  using tokens = new TokenWatch({ db, logger, everyMs: 10 });
  let lost = false;
  tokens.watch('0199f3a0-0000-7000-8000-000000000000', () => {
    lost = true;
  });
  await waitFor(() => lines.filter((line) => line.includes('could not be looked up')).length >= 3);
  expect(lost).toBe(false);
  await db.destroy();
});
