import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';

const MIGRATIONS = join(import.meta.dirname, '../../migrations');

/** Brings an empty database to where a version of Slipway left it that had no `end` (such as `0005`) and later. */
export async function migrateBefore(db: Database, end: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-migrations-'));
  try {
    const earlier = (await readdir(MIGRATIONS)).filter((name) => name < end);
    await Promise.all(earlier.map((name) => cp(join(MIGRATIONS, name), join(folder, name))));
    await migrate(db, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
