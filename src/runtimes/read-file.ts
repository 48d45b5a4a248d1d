import { constants } from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import { sep } from 'node:path';

const CHUNK_BYTES = 256 * 1024;

/**
 * See `Workspace.read`. From the byte `start` on; `root` without a link in it. The file lies where an agent could put anything: a
 * link is refused, a FIFO must not block, and a folder may have become a link, at any moment, to where only this process may
 * read. So what was opened is asked where it is.
 */
export async function* readRegularFile(
  path: string,
  { root, start = 0 }: { readonly root: string; readonly start?: number },
): AsyncGenerator<Uint8Array> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if (!(await file.stat()).isFile()) throw new Error('Only a regular file can be read.');
  if (!(await placeOf(file, path)).startsWith(`${root}${sep}`)) throw new Error('The file is not where it should be.');
  yield* file.createReadStream({ autoClose: false, start, highWaterMark: CHUNK_BYTES });
}

/** Elsewhere than on Linux the path has to do, which may lead somewhere else by now. */
function placeOf(file: FileHandle, path: string): Promise<string> {
  return process.platform === 'linux' ? readlink(`/proc/self/fd/${file.fd}`) : realpath(path);
}
