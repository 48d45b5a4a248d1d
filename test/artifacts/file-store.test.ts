import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, realpath, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
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

const source = (content: string | Buffer) => Readable.from([Buffer.from(content)]);

async function read(...args: Parameters<FileStore['open']>): Promise<string | null> {
  const stream = await store.open(...args);
  return stream && text(stream);
}

const incoming = () => readdir(join(folder, 'store/incoming'));

test('what is put in comes out, whole and in parts', async () => {
  const stored = await store.put(source('0123456789'));
  expect(stored).toEqual({ sha256: createHash('sha256').update('0123456789').digest('hex'), sizeBytes: 10 });
  expect(await read(stored.sha256)).toBe('0123456789');
  expect(await read(stored.sha256, { start: 2, end: 4 })).toBe('234');
  expect(await read(stored.sha256, { start: 8 })).toBe('89');
  expect(await incoming()).toEqual([]);
  const other = await openFileStore(join(folder, 'store'));
  expect(await other.open(stored.sha256).then((stream) => stream && text(stream))).toBe('0123456789');
});

test('an empty file is a file', async () => {
  const stored = await store.put(source(''));
  expect(stored.sizeBytes).toBe(0);
  expect(await read(stored.sha256)).toBe('');
});

test('the same content at the same time, from two stores, is one file', async () => {
  const content = randomBytes(3_000_000);
  const second = await openFileStore(join(folder, 'store'));
  const puts = Array.from({ length: 8 }, (_, index) => (index % 2 ? second : store).put(source(content)));
  const hashes = new Set((await Promise.all(puts)).map(({ sha256 }) => sha256));
  expect([...hashes]).toEqual([createHash('sha256').update(content).digest('hex')]);
  const files = await readdir(join(folder, 'store'), { recursive: true, withFileTypes: true });
  expect(files.filter((file) => file.isFile())).toHaveLength(1);
});

test('content that breaks off, or is over the limit, is refused and leaves nothing behind', async () => {
  async function* broken() {
    yield Buffer.from('half');
    throw new Error('gone');
  }
  await expect(store.put(broken())).rejects.toThrow('gone');
  const small = await openFileStore(join(folder, 'store'), 9);
  await expect(small.put(source('0123456789'))).rejects.toThrow('at most 9 bytes');
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
