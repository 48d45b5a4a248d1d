/** A database of its own for each test file, cloned from the migrated template. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { waitFor } from './wait-for.ts';

/** For connections that a test has left open on purpose. */
const LEFT_MS = 1_000;

export interface TestDatabase extends AsyncDisposable {
  readonly db: Database;
  readonly url: string;
}

async function admin<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const url = new URL(inject('templateUrl'));
  url.pathname = '/postgres';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return await work(client);
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
  // Without durability, copied files cost half of copied pages.
  await admin((client) => client.query(`create database ${name} template ${template} strategy file_copy`));
  const url = new URL(inject('templateUrl'));
  url.pathname = `/${name}`;
  const db = openDatabase({ url: url.href, poolSize: 10, name, logger: createLogger('warn') });
  return {
    db,
    url: url.href,
    async [Symbol.asyncDispose]() {
      await db.destroy();
      await admin((client) => drop(client, name));
    },
  };
}

/** A pool that has ended may still be closing its connections: one that is ended for it would be an error that nobody catches. */
async function drop(client: pg.Client, name: string): Promise<void> {
  const isFree = async () => {
    const { rows } = await client.query('select 1 from pg_stat_activity where datname = $1 limit 1', [name]);
    return rows.length === 0;
  };
  await waitFor(isFree, { everyMs: 10, deadlineMs: LEFT_MS }).catch(() => {});
  await client.query(`drop database ${name} with (force)`);
}
