import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { deriveKey, type MasterKey, openMasterKey } from '../../src/credentials/master-key.ts';

let root: string;
let dataFolder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'slipway-key-'));
  dataFolder = join(root, 'data');
});
afterEach(() => rm(root, { recursive: true, force: true }));

function bytesOf(key: MasterKey): Buffer {
  return key.secret.export();
}

test('the first use makes the file, for its owner only; the next one reads it', async () => {
  const key = await openMasterKey({ masterKey: null, dataFolder });
  const file = join(dataFolder, 'master.key');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(Buffer.from(await readFile(file, 'utf8'), 'base64')).toEqual(bytesOf(key));
  expect(bytesOf(key)).toHaveLength(32);
  expect(await readdir(dataFolder)).toEqual(['master.key']);
  expect(bytesOf(await openMasterKey({ masterKey: null, dataFolder }))).toEqual(bytesOf(key));
});

test('processes that start together get one key', async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, () => openMasterKey({ masterKey: null, dataFolder })));
  expect(new Set(keys.map((key) => bytesOf(key).toString('hex'))).size).toBe(1);
  expect(await readdir(dataFolder)).toEqual(['master.key']);
});

test('the option goes before the file, and makes none', async () => {
  const bytes = Buffer.alloc(32, 7);
  const key = await openMasterKey({ masterKey: bytes.toString('base64'), dataFolder });
  expect(bytesOf(key)).toEqual(bytes);
  expect(key.id).toBe(createHash('sha256').update(bytes).digest('hex').slice(0, 8));
  expect(await readdir(root)).toEqual([]);
});

test.each([
  '',
  'secret',
  Buffer.alloc(31).toString('base64'),
  Buffer.alloc(33).toString('base64'),
  Buffer.alloc(32).toString('hex'),
])('%j is not a key, and is not repeated in the error', async (text) => {
  const error = await openMasterKey({ masterKey: text, dataFolder }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'INVALID_MASTER_KEY' });
  if (text !== '') expect(String(error)).not.toContain(text);
});

test('a damaged file is refused by its name and left as it is', async () => {
  await openMasterKey({ masterKey: null, dataFolder });
  const file = join(dataFolder, 'master.key');
  await writeFile(file, 'half a k');
  await expect(openMasterKey({ masterKey: null, dataFolder })).rejects.toThrow(file);
  expect(await readFile(file, 'utf8')).toBe('half a k');
});

test('printing a key does not show it', async () => {
  const key = await openMasterKey({ masterKey: Buffer.alloc(32, 7).toString('base64'), dataFolder });
  for (const shown of [inspect(key, { depth: 9, showHidden: true }), JSON.stringify(key)]) {
    expect(shown).toContain(key.id);
    for (const encoding of ['hex', 'base64'] as const)
      expect(shown).not.toContain(bytesOf(key).toString(encoding).slice(0, 8));
  }
});

test('every purpose has a key of its own, the same each time', async () => {
  const key = await openMasterKey({ masterKey: null, dataFolder });
  expect(deriveKey(key, 'a')).toEqual(deriveKey(key, 'a'));
  expect(deriveKey(key, 'a')).not.toEqual(deriveKey(key, 'b'));
  expect(deriveKey(key, 'a')).not.toEqual(bytesOf(key));
});
