import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface DiskSpace {
  /** For this user. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Of the disk that the folder is on, or will be on. */
export async function readDiskSpace(folder: string): Promise<DiskSpace> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch (error) {
    const parent = dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === folder) throw error;
    return readDiskSpace(parent);
  }
}

const SHARE = 0.05;
const ENOUGH_BYTES = 1024 ** 3;

/** Below this, nothing is begun that fills the disk: 5 % of it, 1 GiB at most, or what the operator says. */
export function leastFreeBytes({ totalBytes }: DiskSpace, minFreeMb: number | undefined): number {
  return minFreeMb === undefined ? Math.min(ENOUGH_BYTES, totalBytes * SHARE) : minFreeMb * 1024 ** 2;
}

export async function isDiskLow(folder: string, minFreeMb: number | undefined): Promise<boolean> {
  const space = await readDiskSpace(folder);
  return space.freeBytes < leastFreeBytes(space, minFreeMb);
}
