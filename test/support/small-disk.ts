/** A disk of its own that can be filled up: a small tmpfs. Needs the right to mount. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmdirSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk extends AsyncDisposable {
  readonly folder: string;
  /** Writes a file until nothing more fits; gives the way to remove it. */
  fill(): Promise<() => Promise<void>>;
}

/** Null where nothing can be mounted; the reason is printed. */
export function mountSmallDisk(megabytes: number): SmallDisk | null {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-disk-'));
  try {
    execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmdirSync(folder);
    console.log('skipped: a tmpfs cannot be mounted here');
    return null;
  }
  chmodSync(folder, 0o755);
  return {
    folder,
    async fill() {
      const file = join(folder, 'filling');
      const handle = await open(file, 'w');
      const block = Buffer.alloc(64 * 1024);
      try {
        for (;;) await handle.write(block);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        await handle.close();
      }
      return () => rm(file, { force: true });
    },
    async [Symbol.asyncDispose]() {
      execFileSync('/bin/umount', ['--lazy', folder], { stdio: 'ignore' });
      rmdirSync(folder);
    },
  };
}
