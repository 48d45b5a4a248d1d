/** A full disk looks like many other failures: this says what it was. */
import type { Config } from '../config/config.ts';
import { DiskFullError } from '../errors.ts';
import { isDiskLow, readDiskSpace } from '../std/disk-space.ts';
import { type BuildFailure, failure } from './build-result.ts';

/** With less than this left a program can hardly have failed for another reason. */
const FULL_BYTES = 1024 ** 2;
const WORDS = /no space left on device|ENOSPC|disk quota exceeded|EDQUOT/i;

export type DiskConfig = Pick<Config, 'dataFolder' | 'minFreeMb'>;

/** Throws DiskFullError when this process's data folder has too little room for what a build brings. */
export async function refuseOnFullDisk(config: DiskConfig): Promise<void> {
  if (await isDiskLow(config.dataFolder, config.minFreeMb)) throw new DiskFullError();
}

/** Were these words said because a disk is full? */
export function saysDiskFull(words: string): boolean {
  return WORDS.test(words);
}

/** The failure as WORKSPACE_FULL when that is what it comes from. `folder`: of the workspace. */
export async function explainFullDisk(found: BuildFailure, folder: string): Promise<BuildFailure> {
  const { freeBytes } = await readDiskSpace(folder);
  if (freeBytes >= FULL_BYTES && !saysDiskFull(found.message)) return found;
  return failure('WORKSPACE_FULL', found.phase, `The disk of the workspace was full. ${found.message}`);
}
