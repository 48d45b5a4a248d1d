import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, realpath, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FileStore, openFileStore } from '../../src/artifacts/file-store.ts';

let folder: string;
let store: FileStore;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'slipway-store-')));
  store = await openFileStore(join(folder, 'store'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function source(content: string | Buffer, name = 'source'): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

async function read(...args: Parameters<FileStore['open']>): Promise<string | null> {
  const stream = await store.open(...args);
  return stream && text(stream);
}

const incoming = () => readdir(join(folder, 'store/incoming'));

test('what is put in comes out, whole and in parts', async () => {
  const stored = await store.put(await source('0123456789'));
  expect(stored).toEqual({ sha256: createHash('sha256').update('0123456789').digest('hex'), sizeBytes: 10 });
  expect(await read(stored.sha256)).toBe('0123456789');
  expect(await read(stored.sha256, { start: 2, end: 4 })).toBe('234');
  expect(await read(stored.sha256, { start: 8 })).toBe('89');
  expect(await incoming()).toEqual([]);
  const other = await openFileStore(join(folder, 'store'));
  expect(await other.open(stored.sha256).then((stream) => stream && text(stream))).toBe('0123456789');
});

test('an empty file is a file', async () => {
  const stored = await store.put(await source(''));
  expect(stored.sizeBytes).toBe(0);
  expect(await read(stored.sha256)).toBe('');
});

test('the same content at the same time, from two stores, is one file', async () => {
  const content = randomBytes(3_000_000);
  const path = await source(content);
  const second = await openFileStore(join(folder, 'store'));
  const puts = Array.from({ length: 8 }, (_, index) => (index % 2 ? second : store).put(path));
  const hashes = new Set((await Promise.all(puts)).map(({ sha256 }) => sha256));
  expect([...hashes]).toEqual([createHash('sha256').update(content).digest('hex')]);
  const files = await readdir(join(folder, 'store'), { recursive: true, withFileTypes: true });
  expect(files.filter((file) => file.isFile())).toHaveLength(1);
});

test('links, FIFOs, folders and missing files are refused, and leave nothing behind', async () => {
  const target = await source('secret');
  await symlink(target, join(folder, 'link'));
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  for (const name of ['link', 'fifo', 'store', 'missing'])
    await expect(store.put(join(folder, name))).rejects.toThrow();
  expect(await incoming()).toEqual([]);
});

test('a file over the limit is refused, and leaves nothing behind', async () => {
  const path = await source('');
  await truncate(path, 1024 ** 3 + 1);
  await expect(store.put(path)).rejects.toThrow(`at most ${1024 ** 3} bytes`);
  expect(await incoming()).toEqual([]);
});

test.each(['', '../../etc/passwd', 'A'.repeat(64), 'a'.repeat(63), 'a'.repeat(64), `${'a'.repeat(64)}\n`])(
  'there is no file %j',
  async (sha256) => {
    expect(await store.open(sha256)).toBeNull();
  },
);

test('drafts of dead processes go, drafts of living ones stay', async () => {
  const drafts = join(folder, 'store/incoming');
  await writeFile(join(drafts, 'dead'), '');
  await writeFile(join(drafts, 'alive'), '');
  const twoDaysAgo = new Date(Date.now() - 2 * 24 * 60 * 60 * 1000);
  await utimes(join(drafts, 'dead'), twoDaysAgo, twoDaysAgo);
  await openFileStore(join(folder, 'store'));
  expect(await incoming()).toEqual(['alive']);
});
