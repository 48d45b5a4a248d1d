import { copyFile, stat, utimes } from 'node:fs/promises';

/**
 * Copies an index with its time. git takes a file for unchanged when its size and the second of its last change are
 * those in the index, unless the index itself is no younger than that second: a copy that looks younger would hide what
 * was changed right after the checkout.
 */
export async function copyIndex(from: string, to: string): Promise<void> {
  // Before the copy, and rounded down: an index that looks too old only costs git a look into the files.
  const { mtimeMs } = await stat(from);
  await copyFile(from, to);
  const seconds = Math.floor(mtimeMs) / 1_000;
  await utimes(to, seconds, seconds);
}
