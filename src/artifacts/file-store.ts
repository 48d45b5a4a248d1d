/** Files kept by what is in them: the same content is stored once, and what a name stands for never changes. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';

/** Bytes of one file. */
const MAX_FILE_BYTES = 1024 ** 3;
/** After this long, a file that was never completed belongs to a process that is gone. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;
const SHA256 = /^[0-9a-f]{64}$/;

interface StoredFile {
  /** Lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Bytes from the start of a file, both inclusive; without `end`: up to the last. */
interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

export interface FileStore {
  /**
   * Puts the content into the store; it is on the disk when this resolves. Safe at the same time, also of the same
   * content and from other processes. Rejects for what the content rejects for, and over 1 GiB.
   */
  put(content: AsyncIterable<Uint8Array>): Promise<StoredFile>;
  /** The content, or a part of it; null when there is no such file. The caller reads the stream or destroys it. */
  open(sha256: string, range?: ByteRange): Promise<Readable | null>;
}

/** Makes the folder when there is none, and removes what dead processes have left in it. */
export async function openFileStore(folder: string, maxFileBytes = MAX_FILE_BYTES): Promise<FileStore> {
  const root = resolve(folder);
  const incoming = join(root, 'incoming');
  await mkdir(incoming, { recursive: true, mode: 0o700 });
  await removeAbandoned(incoming);
  return {
    async put(content) {
      const draft = join(incoming, randomUUID());
      try {
        const stored = await copy(content, { draft, maxFileBytes });
        await moveInto(root, draft, stored.sha256);
        return stored;
      } finally {
        await rm(draft, { force: true });
      }
    },
    async open(sha256, range = { start: 0 }) {
      if (!SHA256.test(sha256)) return null;
      try {
        const handle = await open(placeOf(root, sha256).file, 'r');
        return handle.createReadStream(range);
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
        throw error;
      }
    },
  };
}

/** Two levels, so that no folder grows huge. */
function placeOf(root: string, sha256: string): { readonly folder: string; readonly file: string } {
  const folder = join(root, sha256.slice(0, 2));
  return { folder, file: join(folder, sha256) };
}

async function copy(
  content: AsyncIterable<Uint8Array>,
  { draft, maxFileBytes }: { readonly draft: string; readonly maxFileBytes: number },
): Promise<StoredFile> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const measure = async function* () {
    for await (const chunk of content) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxFileBytes) throw new Error(`A stored file has at most ${maxFileBytes} bytes.`);
      hash.update(chunk);
      yield chunk;
    }
  };
  // Not a write stream: destroyed early, it may open its file after everything else is over.
  await using file = await open(draft, 'wx', 0o600);
  await file.writeFile(measure());
  await file.sync();
  return { sha256: hash.digest('hex'), sizeBytes };
}

/** Complete or not there: readers never see half a file, and a replaced one has the same content. */
async function moveInto(root: string, draft: string, sha256: string): Promise<void> {
  const { folder, file } = placeOf(root, sha256);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rename(draft, file);
  await using handle = await open(folder, 'r');
  await handle.sync();
}

async function removeAbandoned(incoming: string): Promise<void> {
  const oldest = Date.now() - ABANDONED_MS;
  for (const name of await readdir(incoming)) {
    const draft = join(incoming, name);
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: oldest }));
    if (mtimeMs < oldest) await rm(draft, { force: true });
  }
}
