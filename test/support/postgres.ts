/** Once per test run: a Postgres in a temporary folder and a migrated template database. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { openDatabase } from '../../src/database/database.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { migrate } from '../../src/database/migrate.ts';
import { migrateQueue } from '../../src/queue/queue.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** URL of the migrated template database; test/support/database.ts clones it. */
    templateUrl: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-test-'));
  // As root, Postgres runs as somebody else and must be able to come here.
  await chmod(folder, 0o711);
  const logger = createLogger('warn');
  const postgres = await openEmbeddedPostgres({ folder: join(folder, 'postgres'), durable: false, logger });
  const db = openDatabase({ url: postgres.url, poolSize: 2, name: 'slipway test', logger });
  await migrate(db);
  await migrateQueue({ db, logger });
  await db.destroy();
  project.provide('templateUrl', postgres.url);
  return async () => {
    await postgres[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  };
}
