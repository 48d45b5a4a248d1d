/** A full disk looks like many other failures: this says what it was. */
import type { Config } from '../config/config.ts';
import { DiskFullError } from '../errors.ts';
import { type DiskSpace, isDiskLow } from '../std/disk-space.ts';
import { type BuildFailure, failure } from './build-result.ts';

/** With less than this left a program can hardly have failed for another reason. */
const FULL_BYTES = 1024 ** 2;
const LOOK_EVERY_MS = 50;
const WORDS = /no space left on device|ENOSPC|disk quota exceeded|EDQUOT/i;

export type DiskConfig = Pick<Config, 'dataFolder' | 'minFreeMb'>;

/** Throws DiskFullError when this process's data folder has too little room for what a build brings. */
export async function refuseOnFullDisk(config: DiskConfig): Promise<void> {
  if (await isDiskLow(config.dataFolder, config.minFreeMb)) throw new DiskFullError();
}

/** As `refuseOnFullDisk`, for those who come all day: what had room a moment ago has it now. */
export class DiskWatch {
  readonly #config: DiskConfig;
  #isLow: Promise<boolean> | null = null;
  #until = 0;

  constructor(config: DiskConfig) {
    this.#config = config;
  }

  /** Throws DiskFullError. Those who come together have one look. */
  async refuseOnFull(): Promise<void> {
    if (this.#isLow === null || performance.now() >= this.#until) {
      const isLow = isDiskLow(this.#config.dataFolder, this.#config.minFreeMb);
      this.#isLow = isLow;
      this.#until = performance.now() + LOOK_EVERY_MS;
      const forget = () => {
        if (this.#isLow === isLow) this.#isLow = null;
      };
      // Nobody is refused for what was so earlier.
      isLow.then((low) => low && forget(), forget);
    }
    if (await this.#isLow) throw new DiskFullError();
  }
}

/** The failure as WORKSPACE_FULL when that is what it comes from. `disk`: that of the workspace; null if nobody can say. */
export function explainFullDisk(found: BuildFailure, disk: DiskSpace | null, error?: unknown): BuildFailure {
  const hasRoom = disk === null || disk.freeBytes >= FULL_BYTES;
  if (hasRoom && !WORDS.test(`${found.message} ${error}`)) return found;
  const told = found.reason === 'INTERNAL' ? '' : ` ${found.message}`;
  return failure('WORKSPACE_FULL', found.phase, `The disk of the workspace was full.${told}`);
}
