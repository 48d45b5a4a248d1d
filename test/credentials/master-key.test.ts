import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openKeySource } from '../../src/credentials/keyring.ts';
import {
  addMasterKey,
  findMasterKeys,
  type MasterKey,
  type MasterKeyOptions,
  readMasterKeys,
} from '../../src/credentials/master-key.ts';
import { newKeyText } from './test-key.ts';

let root: string;
let dataFolder: string;
let file: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'slipway-key-'));
  dataFolder = join(root, 'data');
  file = join(dataFolder, 'master.key');
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function newest(options: MasterKeyOptions): Promise<MasterKey> {
  return (await readMasterKeys(options)).all[0] as MasterKey;
}

function bytesOf(key: MasterKey): Buffer {
  return key.secret.export();
}

test('the first use makes the file, for its owner only; the next one reads it', async () => {
  expect(await findMasterKeys({ masterKey: null, dataFolder })).toBeNull();
  const key = await newest({ masterKey: null, dataFolder });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(Buffer.from(await readFile(file, 'utf8'), 'base64')).toEqual(bytesOf(key));
  expect(bytesOf(key)).toHaveLength(32);
  expect(await readdir(dataFolder)).toEqual(['master.key']);
  expect(bytesOf(await newest({ masterKey: null, dataFolder }))).toEqual(bytesOf(key));
});

test('processes that start together get one key', async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, () => newest({ masterKey: null, dataFolder })));
  expect(new Set(keys.map((key) => bytesOf(key).toString('hex'))).size).toBe(1);
  expect(await readdir(dataFolder)).toEqual(['master.key']);
});

test('the option goes before the file, and makes none; older keys follow it', async () => {
  const bytes = Buffer.alloc(32, 7);
  const previousMasterKeys = [newKeyText(), newKeyText()];
  const keys = await readMasterKeys({ masterKey: bytes.toString('base64'), previousMasterKeys, dataFolder });
  expect(keys.file).toBeNull();
  expect(keys.all.map((key) => bytesOf(key).toString('base64'))).toEqual([
    bytes.toString('base64'),
    ...previousMasterKeys,
  ]);
  expect(keys.all[0]?.id).toBe(createHash('sha256').update(bytes).digest('hex').slice(0, 8));
  expect(await readdir(root)).toEqual([]);
});

test('a new key is the first line of the file; a process that runs finds it when it is asked for it', async () => {
  const source = await openKeySource({ masterKey: null, dataFolder });
  const [first] = source.keys;
  const { all } = await addMasterKey(file);
  expect(all.map(({ id }) => id)).toEqual([expect.any(String), first?.id]);
  expect(await source.find(all[0]?.id ?? '')).toMatchObject({ id: all[0]?.id });
  expect(await source.find('00000000')).toBeNull();
  for (let more = 0; more < 12; more += 1) await addMasterKey(file);
  expect((await readMasterKeys({ masterKey: null, dataFolder })).all).toHaveLength(10);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(dataFolder)).toEqual(['master.key']);
});

test.each([
  '',
  'secret',
  Buffer.alloc(31).toString('base64'),
  Buffer.alloc(33).toString('base64'),
  Buffer.alloc(32).toString('hex'),
])('%j is not a key, and is not repeated in the error', async (text) => {
  const error = await readMasterKeys({ masterKey: text, dataFolder }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'INVALID_MASTER_KEY' });
  if (text !== '') expect(String(error)).not.toContain(text);
});

test('a damaged file is refused by its name and left as it is', async () => {
  await readMasterKeys({ masterKey: null, dataFolder });
  await writeFile(file, 'half a k');
  await expect(readMasterKeys({ masterKey: null, dataFolder })).rejects.toThrow(file);
  expect(await readFile(file, 'utf8')).toBe('half a k');
});

test('printing a key does not show it', async () => {
  const key = await newest({ masterKey: Buffer.alloc(32, 7).toString('base64'), dataFolder });
  for (const shown of [inspect(key, { depth: 9, showHidden: true }), JSON.stringify(key)]) {
    expect(shown).toContain(key.id);
    for (const encoding of ['hex', 'base64'] as const)
      expect(shown).not.toContain(bytesOf(key).toString(encoding).slice(0, 8));
  }
});
