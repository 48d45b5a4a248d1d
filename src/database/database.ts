/** The pool and Kysely on it. */
import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import pg from 'pg';
import type { Logger } from '../telemetry/logger.ts';
import { guardPool } from './guarded-pool.ts';
import { ServerWatch } from './server-watch.ts';
import { CONTROL_LIMITS, type DatabaseLimits, setLimits, WORK_LIMITS } from './session-settings.ts';
import type { Tables } from './tables.ts';
import { parseTimestamp, TIMESTAMPTZ } from './timestamp-text.ts';

export type Database = Kysely<Tables>;
/** What a function takes that runs inside its caller's transaction. */
export type DatabaseTransaction = Transaction<Tables>;

const BIGINT = 20;

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format: 'text' | 'binary' = 'text') => {
    // Our bigints are counters and sizes, far below 2^53.
    if (oid === BIGINT) return Number;
    return oid === TIMESTAMPTZ && format === 'text' ? parseTimestamp : pg.types.getTypeParser(oid, format as 'text');
  }) as typeof pg.types.getTypeParser,
};

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most. One more asks whether the server is there. */
  readonly poolSize: number;
  /** Shown in pg_stat_activity. */
  readonly name: string;
  readonly logger: Logger;
  /** `WORK_LIMITS` if absent. */
  readonly limits?: DatabaseLimits;
  /**
   * The URL is that of a pooler such as PgBouncer, which may give each transaction another session: nothing is set for
   * the session, and the limits are set in each transaction. A single statement has the limit of the client only.
   */
  readonly throughPooler?: boolean;
}

/** A connection that notices a dead peer: every wait on the network has a limit. */
export function connectionSettings(url: string, name: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: name,
    connectionTimeoutMillis: 4_000,
    query_timeout: 10_000,
    // A peer that does not even acknowledge is noticed after this and ten seconds more.
    keepAlive: true,
    keepAliveInitialDelayMillis: 3_000,
    types,
  };
}

/**
 * Opens the pool. Its limits are kept by the server and, a little later, by the client. A connection that Postgres
 * closes (a restart) is dropped and replaced, never a crash. When the server does not answer for 2.5 s, queries that are
 * on their way fail, and so does every other one at once until it answers again.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { limits = WORK_LIMITS, throughPooler = false, logger } = options;
  const settings = { ...connectionSettings(options.url, options.name), query_timeout: limits.answerMs };
  const pool = new pg.Pool({
    ...settings,
    max: options.poolSize,
    onConnect: async (client) => {
      if (!throughPooler) await client.query(setLimits(limits, 'session'));
    },
  });
  // The pool listens to idle clients only: without this, a client that is lost inside a transaction ends the process. Its
  // next query tells whoever uses it.
  pool.on('connect', (client) => client.on('error', () => {}));
  pool.on('error', (error) => {
    // `end` does not wait for its sockets: a Postgres that stops right after it breaks them, and nobody misses them.
    if (!pool.ending) logger.warn({ error: error.message }, 'a database connection was lost');
  });
  const onSilence = () => {
    logger.warn({ database: options.name }, 'the database server does not answer');
    guarded.loseAll();
  };
  const watch = new ServerWatch({ settings: { ...settings, application_name: `${options.name} watch` }, onSilence });
  const guarded = guardPool({
    pool,
    prepares: !throughPooler,
    afterBegin: throughPooler ? setLimits(limits, 'transaction') : null,
    // Short waits need no watch.
    watch: limits.answerMs > CONTROL_LIMITS.answerMs ? watch : null,
  });
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: guarded }) });
}
