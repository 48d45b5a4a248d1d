/** The pool and Kysely on it. */
import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import pg from 'pg';
import type { Logger } from '../telemetry/logger.ts';
import type { Tables } from './tables.ts';

export type Database = Kysely<Tables>;
/** What a function takes that runs inside its caller's transaction. */
export type DatabaseTransaction = Transaction<Tables>;

const BIGINT = 20;

// Our bigints are counters and sizes, far below 2^53.
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === BIGINT ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
};

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most. */
  readonly poolSize: number;
  /** Shown in pg_stat_activity. */
  readonly name: string;
  readonly logger: Logger;
}

/** A connection that notices a dead peer: every wait on the network has a limit. */
export function connectionSettings(url: string, name: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: name,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types,
  };
}

/**
 * Opens the pool. Statements are cut off after 30 s and idle transactions after 30 s by the server, and abandoned by
 * the client after 35 s. A connection that Postgres closes (a restart) is dropped and replaced, never a crash.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    ...connectionSettings(options.url, options.name),
    max: options.poolSize,
    query_timeout: 35_000,
    statement_timeout: 30_000,
    idle_in_transaction_session_timeout: 30_000,
  });
  // The pool listens to idle clients only: without this, a client that is lost inside a transaction ends the process. Its
  // next query tells whoever uses it.
  pool.on('connect', (client) => client.on('error', () => {}));
  pool.on('error', (error) => {
    // `end` does not wait for its sockets: a Postgres that stops right after it breaks them, and nobody misses them.
    if (!pool.ending) options.logger.warn({ error: error.message }, 'a database connection was lost');
  });
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}
