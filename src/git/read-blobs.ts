import { type GitContext, git } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';

/** Bytes of one blob that are read; the rest of it is not. */
const MAX_BLOB_BYTES = 8 * 1024 * 1024;
/** Bytes of all blobs that are held at the same time, unless it is one. */
const MAX_BATCH_BYTES = 16 * 1024 * 1024;

interface WantedBlob {
  readonly path: string;
  readonly blob: string;
}

export interface ReadBlob {
  readonly ok: true;
  readonly path: string;
  /** At most 8 MiB, from the beginning. */
  readonly bytes: Uint8Array;
}

/** The beginnings of blobs, in any order and in bounded memory; ends after a failure. */
export async function* readBlobs(
  context: GitContext,
  wanted: readonly WantedBlob[],
): AsyncGenerator<ReadBlob | GitFailure, void, undefined> {
  if (wanted.length === 0) return;
  const stdin = `${wanted.map(({ blob }) => blob).join('\n')}\n`;
  const sized = await git(context, ['cat-file', '--batch-check=%(objectsize)'], { stdin });
  if (!sized.ok) return yield sized;
  const sizes = sized.stdout.toString('latin1').split('\n').map(Number);
  let batch: WantedBlob[] = [];
  let bytes = 0;
  for (const [index, file] of wanted.entries()) {
    const size = sizes[index] ?? 0;
    if (size > MAX_BLOB_BYTES) {
      yield await readHead(context, file);
      continue;
    }
    if (bytes + size > MAX_BATCH_BYTES) {
      yield* readBatch(context, batch);
      batch = [];
      bytes = 0;
    }
    batch.push(file);
    bytes += size;
  }
  yield* readBatch(context, batch);
}

async function readHead(context: GitContext, { path, blob }: WantedBlob): Promise<ReadBlob | GitFailure> {
  const read = await git(context, ['cat-file', 'blob', blob], { maxOutputBytes: MAX_BLOB_BYTES, cut: true });
  return read.ok ? { ok: true, path, bytes: read.stdout } : read;
}

/** `<sha> blob <size>\n<content>\n` for each. */
async function* readBatch(
  context: GitContext,
  batch: readonly WantedBlob[],
): AsyncGenerator<ReadBlob | GitFailure, void, undefined> {
  if (batch.length === 0) return;
  const stdin = `${batch.map(({ blob }) => blob).join('\n')}\n`;
  const read = await git(context, ['cat-file', '--batch'], { stdin });
  if (!read.ok) return yield read;
  let at = 0;
  for (const { path, blob } of batch) {
    const end = read.stdout.indexOf('\n', at);
    const [name, type, size] = read.stdout.toString('latin1', at, end).split(' ');
    if (name !== blob || type !== 'blob') return yield gitFailure('OTHER', `The object ${blob} could not be read.`);
    at = end + 1 + Number(size);
    yield { ok: true, path, bytes: read.stdout.subarray(end + 1, at) };
    at += 1;
  }
}
