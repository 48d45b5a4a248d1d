/** Applies `migrations/*.sql` in order, each once, under Kysely's lock. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import type { Database } from './database.ts';
import { ensurePartitions } from './partitions.ts';

const FOLDER = join(import.meta.dirname, '../../migrations');
const FILE_NAME = /^\d{4}_[a-z_]+\.sql$/;

interface MigrationFile {
  /** `0001_projects` */
  readonly name: string;
  readonly text: string;
  /** SHA-256 of the text, hex. */
  readonly checksum: string;
}

export async function readMigrations(folder = FOLDER): Promise<MigrationFile[]> {
  const names = (await readdir(folder)).filter((file) => FILE_NAME.test(file)).sort();
  return Promise.all(
    names.map(async (file) => {
      const text = await readFile(join(folder, file), 'utf8');
      return { name: file.slice(0, -'.sql'.length), text, checksum: createHash('sha256').update(text).digest('hex') };
    }),
  );
}

function toMigration(file: MigrationFile): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await sql.raw(file.text).execute(db);
      await sql`insert into migration_checksums (name, checksum) values (${file.name}, ${file.checksum})`.execute(db);
    },
  };
}

/**
 * Brings the database to the newest migration and returns the names of those it applied; makes the partitions of the
 * next weeks, too, whether or not there was anything to apply. Safe to call from several processes at once. Throws if a
 * migration that was applied has been edited since.
 */
export async function migrate(db: Database, folder = FOLDER): Promise<string[]> {
  const files = await readMigrations(folder);
  await sql`create table if not exists migration_checksums (name text primary key, checksum text not null)`.execute(db);
  const applied = await sql<{ name: string; checksum: string }>`select name, checksum from migration_checksums`.execute(
    db,
  );
  for (const row of applied.rows) {
    const file = files.find((candidate) => candidate.name === row.name);
    if (file && file.checksum !== row.checksum) {
      throw new Error(
        `Migration ${row.name} was edited after it had been applied. Restore it and add a new migration.`,
      );
    }
  }
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => Object.fromEntries(files.map((file) => [file.name, toMigration(file)])) },
  });
  const { error, results } = await migrator.migrateToLatest();
  if (error) throw error;
  // What cannot be made now is made later, by the workers, who log it.
  await ensurePartitions(db);
  return (results ?? []).filter((result) => result.status === 'Success').map((result) => result.migrationName);
}
