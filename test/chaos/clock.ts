/** The clock of a process that can be set while it runs, by Debian's libfaketime. */
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';

const LIBRARIES = ['x86_64', 'aarch64'].map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`);

export interface Clock {
  /** For the process whose clock it is. */
  readonly environment: Readonly<Record<string, string>>;
  /** Seconds before or after the true time. */
  set(offsetSeconds: number): Promise<void>;
}

/** `file` holds the offset. The reason as a string where there is no libfaketime. */
export async function openClock(file: string): Promise<Clock | string> {
  const library = LIBRARIES.find((path) => existsSync(path));
  if (!library) return 'libfaketime is not installed (Debian: apt-get install libfaketime)';
  const set = (seconds: number) => writeFile(file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
  await set(0);
  return {
    environment: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      // With its cache, a jump backwards is not seen.
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    set,
  };
}

/** What the library leaves behind of a process that was killed. */
export async function removeClockRemains(pid: number): Promise<void> {
  for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`]) await rm(`/dev/shm/${name}`, { force: true });
}
