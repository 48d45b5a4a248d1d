/** Is the database there, and is it ours? Asked before anything is opened on it, so that the answer is one line. */
import pg from 'pg';
import type { Config } from '../config/config.ts';
import { connectionSettings } from '../database/database.ts';
import { readMigrations } from '../database/migrate.ts';
import { CliError } from './exit-code.ts';
import { messageOf } from './finding.ts';

export type DatabaseConfig = Pick<Config, 'databaseUrl'> & Partial<Pick<Config, 'databaseDirectUrl'>>;

/** The configured database. Throws CliError when there is none, or it does not answer. */
export async function reachDatabase(config: DatabaseConfig): Promise<string> {
  const { databaseUrl, databaseDirectUrl } = config;
  if (!databaseUrl) {
    throw new CliError('SLIPWAY_DATABASE_URL is not set.', {
      code: 'NO_DATABASE',
      hints: ['Set it to a Postgres 15 or newer, or run `slipway up`, which brings its own.'],
    });
  }
  await withClient(databaseUrl, (client) => client.query('select 1'));
  if (databaseDirectUrl) await withClient(databaseDirectUrl, (client) => client.query('select 1'));
  return databaseUrl;
}

/** The same, and it has every migration of this version. Throws CliError. */
export async function reachMigratedDatabase(config: DatabaseConfig): Promise<string> {
  const url = await reachDatabase(config);
  const missing = await withClient(url, readMissingMigrations);
  if (missing.length === 0) return url;
  throw new CliError(`The database lacks ${missing.length} of this version's migrations.`, {
    code: 'NOT_MIGRATED',
    hints: ['Run slipway migrate first.'],
  });
}

/** The names of the migrations that are not applied, in order. */
export async function readMissingMigrations(client: pg.Client): Promise<readonly string[]> {
  const applied = await client
    .query<{ name: string }>('select name from migration_checksums')
    .then(({ rows }) => new Set(rows.map(({ name }) => name)))
    .catch(() => new Set<string>());
  return (await readMigrations()).map(({ name }) => name).filter((name) => !applied.has(name));
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  try {
    const client = new pg.Client(connectionSettings(url, 'slipway'));
    client.on('error', () => {});
    try {
      await client.connect();
      return await work(client);
    } finally {
      await client.end().catch(() => {});
    }
  } catch (error) {
    throw new CliError(`The database cannot be used: ${messageOf(error)}`, {
      code: 'DATABASE_UNREACHABLE',
      hints: ['Check SLIPWAY_DATABASE_URL and SLIPWAY_DATABASE_DIRECT_URL; `slipway doctor` says more.'],
    });
  }
}
