/** The Postgres of a run, with the durability and the settings that `slipway up` gives it, and databases on it. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Database, openDatabase } from '../src/database/database.ts';
import { openEmbeddedPostgres } from '../src/database/embedded-postgres.ts';
import { migrate } from '../src/database/migrate.ts';
import { MIGRATION_LIMITS } from '../src/database/session-settings.ts';
import { migrateQueue } from '../src/queue/queue.ts';
import { createLogger } from '../src/telemetry/logger.ts';

const POOL_SIZE = 10;
/** Shown with the results. */
const SHOWN = ['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'autovacuum'];

/** Plain data: the process of a figure gets it from the one that has started Postgres. */
export interface BenchPostgres {
  /** Of the database that is migrated and copied. */
  readonly url: string;
  readonly pid: number;
}

export interface BenchDatabase extends AsyncDisposable {
  readonly url: string;
  /** As the product opens it. */
  readonly db: Database;
}

export async function openBenchPostgres(): Promise<BenchPostgres & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  // As root, Postgres runs as somebody else and must be able to come here.
  await chmod(folder, 0o711);
  const logger = createLogger('error');
  const { url, pid } = opened.use(
    await openEmbeddedPostgres({ folder: join(folder, 'postgres'), durable: true, logger }),
  );
  const db = openDatabase({ url, poolSize: 1, name: 'slipway bench', logger, limits: MIGRATION_LIMITS });
  await migrate(db);
  await migrateQueue({ db, logger });
  await db.destroy();
  const resources = opened.move();
  return { url, pid, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

export interface BenchDatabaseOptions {
  readonly migrated: boolean;
  readonly poolSize?: number;
}

export async function openBenchDatabase(
  postgres: BenchPostgres,
  { migrated, poolSize = POOL_SIZE }: BenchDatabaseOptions,
): Promise<BenchDatabase> {
  const name = `bench_${randomBytes(8).toString('hex')}`;
  const template = migrated ? new URL(postgres.url).pathname.slice(1) : 'template0';
  await administer(postgres, (client) => client.query(`create database ${name} template ${template}`));
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  const db = openDatabase({ url: url.href, poolSize, name, logger: createLogger('error'), limits: MIGRATION_LIMITS });
  return {
    url: url.href,
    db,
    async [Symbol.asyncDispose]() {
      await db.destroy();
      await administer(postgres, (client) => client.query(`drop database ${name} with (force)`));
    },
  };
}

async function administer<T>(postgres: BenchPostgres, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const url = new URL(postgres.url);
  url.pathname = '/postgres';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Its version, and the settings that decide what a commit costs. */
export async function describePostgres(postgres: BenchPostgres): Promise<Record<string, string>> {
  return administer(postgres, async (client) => {
    const { rows } = await client.query<{ name: string; value: string }>(
      `select 'server_version' as name, current_setting('server_version') as value
       union all select name, current_setting(name) from pg_settings where name = any($1)`,
      [SHOWN],
    );
    return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  });
}
