import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

const CHUNK_BYTES = 256 * 1024;

/** See `Workspace.read`. From the byte `start` on. A link is refused, and a FIFO must not block: the file lies where an agent could put anything. */
export async function* readRegularFile(path: string, start = 0): AsyncGenerator<Uint8Array> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if (!(await file.stat()).isFile()) throw new Error('Only a regular file can be read.');
  yield* file.createReadStream({ autoClose: false, start, highWaterMark: CHUNK_BYTES });
}
