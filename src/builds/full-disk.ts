/** A full disk looks like many other failures: this says what it was. */
import type { Config } from '../config/config.ts';
import { DiskFullError } from '../errors.ts';
import { type DiskSpace, isDiskLow } from '../std/disk-space.ts';
import { type BuildFailure, failure } from './build-result.ts';

/** With less than this left a program can hardly have failed for another reason. */
const FULL_BYTES = 1024 ** 2;
const WORDS = /no space left on device|ENOSPC|disk quota exceeded|EDQUOT/i;

export type DiskConfig = Pick<Config, 'dataFolder' | 'minFreeMb'>;

/** Throws DiskFullError when this process's data folder has too little room for what a build brings. */
export async function refuseOnFullDisk(config: DiskConfig): Promise<void> {
  if (await isDiskLow(config.dataFolder, config.minFreeMb)) throw new DiskFullError();
}

/** The failure as WORKSPACE_FULL when that is what it comes from. `disk`: that of the workspace, if it can be looked at. */
export async function explainFullDisk(
  found: BuildFailure,
  disk: Promise<DiskSpace>,
  error?: unknown,
): Promise<BuildFailure> {
  const { freeBytes } = await disk.catch(() => ({ freeBytes: Number.POSITIVE_INFINITY }));
  if (freeBytes >= FULL_BYTES && !WORDS.test(`${found.message} ${error}`)) return found;
  const told = found.reason === 'INTERNAL' ? '' : ` ${found.message}`;
  return failure('WORKSPACE_FULL', found.phase, `The disk of the workspace was full.${told}`);
}
