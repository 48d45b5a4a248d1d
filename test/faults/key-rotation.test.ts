/** A rotation of the master key that is killed at every step: nothing is lost, and the next one ends it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { callbackSecret } from '../../src/credentials/callback-secret.ts';
import { credentialContext } from '../../src/credentials/credential.ts';
import { type Keyring, openKeyring } from '../../src/credentials/keyring.ts';
import { openCredential } from '../../src/credentials/read-credentials.ts';
import { countOtherKeys } from '../../src/credentials/rotate-master-key.ts';
import { type KeySource, seal } from '../../src/credentials/seal.ts';
import { newKeySource } from '../credentials/test-key.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';

/** Two batches and a half. */
const ROWS = 250;
const BIN = join(import.meta.dirname, '../../bin/slipway.js');
const INPUT = { projectId: '01990000-0000-7000-8000-000000000001', version: 1 };

let database: TestDatabase;
let dataFolder: string;
let before: Keyring;
let secret: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  database = await openTestDatabase();
  dataFolder = await mkdtemp(join(tmpdir(), 'slipway-rotation-'));
  before = await openKeyring(database.db, { masterKey: null, dataFolder });
  secret = callbackSecret(before, INPUT);
  await plant(before);
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await database[Symbol.asyncDispose]();
  await rm(dataFolder, { recursive: true, force: true });
});

async function plant({ keys: [key] }: KeySource): Promise<void> {
  if (!key) throw new Error('there is a key');
  const rows = Array.from({ length: ROWS }, async (_, index) => {
    const place = {
      project_id: null,
      name: `n${index}`,
      kind: 'REGISTRY',
      target: `https://n${index}/`,
      base_url: null,
    } as const;
    const sealed = await seal(key, { text: `token ${index}`, context: credentialContext(place) });
    return { id: v7(), ...place, sealed, key_id: key.id };
  });
  await database.db
    .insertInto('credentials')
    .values(await Promise.all(rows))
    .execute();
}

function rotate(): ChildProcess {
  const child = spawn(process.execPath, [BIN, 'credential', 'rotate-key', '--json'], {
    env: { PATH: process.env.PATH, SLIPWAY_DATABASE_URL: database.url, SLIPWAY_DATA: dataFolder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

/** Rotates, and kills the process where it waits for the rows that `lock` has taken. */
async function killAt(lock: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query('begin');
  await client.query(lock);
  const child = rotate();
  const waits = async () => {
    const { rows } = await sql<{ pid: number }>`select pid from pg_stat_activity where datname = current_database()
      and application_name = 'slipway credential' and wait_event_type = 'Lock'`.execute(database.db);
    return rows.length > 0;
  };
  await waitFor(waits, { deadlineMs: 20_000, what: 'the rotation at its step' });
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  await client.end();
}

/** Every secret opens, and is what it was. */
async function expectAll(keys: KeySource): Promise<void> {
  const rows = await database.db.selectFrom('credentials').selectAll().execute();
  expect(rows).toHaveLength(ROWS);
  for (const row of rows) expect(await openCredential(keys, row, row.sealed)).toBe(`token ${row.name.slice(1)}`);
}

const linesOfFile = async () => (await readFile(join(dataFolder, 'master.key'), 'utf8')).trim().split('\n');
/** `for update` would lock the rows that an offset skips, too. */
const nth = (number: number) =>
  `select 1 from credentials where id = (select id from credentials order by id offset ${number} limit 1) for update`;

const STEPS: [string, string, number][] = [
  ['after the new key was written, before it is current', 'select 1 from master_key for update', ROWS],
  ['after it became current, before the first row', nth(0), ROWS],
  ['in the middle of the second batch', nth(150), ROWS - 100],
  ['at the last row', nth(ROWS - 1), ROWS - 200],
];

test.each(STEPS)('killed %s', async (_where, lock, left) => {
  const old = before.keys[0]?.id ?? '';
  await killAt(lock);
  const [newest = '', older = ''] = await linesOfFile();
  const newId = (await newKeySource(newest)).keys[0]?.id ?? '';
  const sealedWithOld = ROWS - (await countOtherKeys(database.db, old));
  expect(sealedWithOld).toBe(left);
  // Whoever runs, or starts now, opens everything, and no receiver has noticed.
  await expectAll(before);
  const started = await openKeyring(database.db, { masterKey: null, dataFolder });
  await expectAll(started);
  expect(callbackSecret(started, INPUT)).toBe(secret);

  const [code] = await once(rotate(), 'exit');
  expect(code).toBe(0);
  expect(await linesOfFile()).toEqual([newest, older]);
  expect(await countOtherKeys(database.db, newId)).toBe(0);
  const alone = { masterKey: newest, previousMasterKeys: [], dataFolder };
  const after = await openKeyring(database.db, alone);
  await expectAll(after);
  expect(callbackSecret(after, INPUT)).toBe(secret);
});
