/** A file that is thrown away when the disk fills up, so that Postgres can write its way out of it. */
import { open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readDiskSpace } from '../std/disk-space.ts';
import type { Logger } from '../telemetry/logger.ts';

const MIB = 1024 ** 2;
const BALLAST_BYTES = 64 * MIB;
/** Not sooner: what is written until then would only use it up. */
const THROW_BELOW_BYTES = MIB;
/** Not on a disk that it would fill itself. */
const MAKE_ABOVE_BYTES = 4 * BALLAST_BYTES;

/** Throws the ballast away on a full disk and takes it on again when there is room. Never rejects; safe to repeat. */
export async function trimBallast(file: string, logger: Logger): Promise<void> {
  try {
    const { freeBytes } = await readDiskSpace(dirname(file));
    const isThere = await stat(file).then(
      () => true,
      () => false,
    );
    if (isThere && freeBytes < THROW_BELOW_BYTES) {
      await rm(file, { force: true });
      logger.error('the disk is full: Postgres goes on with the last of it; make room, or it will stop');
    } else if (!isThere && freeBytes > MAKE_ABOVE_BYTES) await fill(file);
  } catch (error) {
    logger.warn({ error }, 'the ballast of the database could not be looked after');
  }
}

/** Written, not only sized: a file with holes takes no room. */
async function fill(file: string): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    const zeros = Buffer.alloc(MIB);
    for (let written = 0; written < BALLAST_BYTES; written += MIB) await handle.write(zeros);
  } finally {
    await handle.close();
  }
}
