/** A database of its own for each test file, cloned from the migrated template. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

export interface TestDatabase extends AsyncDisposable {
  readonly db: Database;
  readonly url: string;
}

async function admin(statement: string): Promise<void> {
  const url = new URL(inject('templateUrl'));
  url.pathname = '/postgres';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

export function openTestDatabase(): Promise<TestDatabase> {
  return createDatabase(new URL(inject('templateUrl')).pathname.slice(1));
}

/** Without any table. */
export function openEmptyDatabase(): Promise<TestDatabase> {
  return createDatabase('template0');
}

async function createDatabase(template: string): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await admin(`create database ${name} template ${template}`);
  const url = new URL(inject('templateUrl'));
  url.pathname = `/${name}`;
  const db = openDatabase({ url: url.href, poolSize: 10, name, logger: createLogger('warn') });
  return {
    db,
    url: url.href,
    async [Symbol.asyncDispose]() {
      await db.destroy();
      await admin(`drop database ${name} with (force)`);
    },
  };
}
