/** A pool whose connections are given up once nothing comes over them any more. */
import type { PostgresCursor, PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely';
import type pg from 'pg';

/** Nothing comes over this connection any more. `isTransient`: by its code. */
class LostConnectionError extends Error {
  override readonly name = 'LostConnectionError';
  readonly code = 'ETIMEDOUT';
}

/**
 * What begins with this is parsed and planned once by each connection. For what is said all day, with the same text: a
 * function that decides by itself how it looks things up.
 */
export const PREPARED = '/* prepared */';
/** Others are parsed each time. */
const MAX_PREPARED = 100;
/** A statement that was prepared gives other columns than it did: a migration was faster. */
const STALE = '0A000';

const names = new Map<string, string>();

function nameOf(sql: string): string | undefined {
  const known = names.get(sql);
  if (known || names.size >= MAX_PREPARED) return known;
  names.set(sql, `slipway_${names.size}`);
  return names.get(sql);
}

export interface GuardedPoolOptions {
  readonly pool: pg.Pool;
  /** Statements may stay with the session: it is not another one after each transaction. */
  readonly prepares: boolean;
  /** Sent together with the `begin` of each transaction; null where the session has all settings. */
  readonly afterBegin: string | null;
  /** Null where no question is asked beside the queries. */
  readonly watch: { readonly silent: boolean; start(): void; stop(): Promise<void> } | null;
}

export interface GuardedPool extends PostgresPool {
  /** Fails every query that is on its way; connections that are open are not used again. */
  loseAll(): void;
}

export function guardPool({ pool, prepares, afterBegin, watch }: GuardedPoolOptions): GuardedPool {
  const busy = new Set<GuardedClient>();
  const madeIn = new WeakMap<pg.PoolClient, number>();
  const renewals = new WeakMap<pg.PoolClient, number>();
  let epoch = 0;

  async function acquire(): Promise<pg.PoolClient> {
    // Every stale connection is met once at most.
    for (;;) {
      if (watch?.silent) throw new LostConnectionError('The database server does not answer.');
      const startedIn = epoch;
      const client = await pool.connect();
      if (!madeIn.has(client)) madeIn.set(client, startedIn);
      if (madeIn.get(client) === epoch) return client;
      client.release(true);
    }
  }

  return {
    options: pool.options,
    async connect() {
      watch?.start();
      const client = await acquire();
      const guarded = new GuardedClient(client, {
        afterBegin,
        renewals: prepares ? renewals : null,
        onRelease: () => busy.delete(guarded),
      });
      busy.add(guarded);
      return guarded;
    },
    async end() {
      await watch?.stop();
      await pool.end();
    },
    loseAll() {
      epoch += 1;
      for (const client of busy) client.lose(new LostConnectionError('The database server has stopped answering.'));
    },
  };
}

interface GuardedClientOptions {
  readonly afterBegin: string | null;
  /** How often each connection has prepared its statements anew; null where none are. */
  readonly renewals: WeakMap<pg.PoolClient, number> | null;
  readonly onRelease: () => void;
}

class GuardedClient implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #options: GuardedClientOptions;
  #inTransaction = false;
  #lost: Error | null = null;
  #fail: ((error: Error) => void) | null = null;

  constructor(client: pg.PoolClient, options: GuardedClientOptions) {
    this.#client = client;
    this.#options = options;
  }

  query<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query<R>(
    query: string | PostgresCursor<R>,
    parameters: readonly unknown[] = [],
  ): Promise<PostgresQueryResult<R>> | PostgresCursor<R> {
    if (typeof query !== 'string') throw new Error('Cursors are not used here.');
    if (/^(begin|start transaction)/.test(query)) this.#inTransaction = true;
    if (query.startsWith(PREPARED)) return this.#sendPrepared(query, parameters);
    const { afterBegin } = this.#options;
    const isBegin = afterBegin !== null && query === 'begin';
    return this.#send<R>({ text: isBegin ? `${query}; ${afterBegin}` : query }, parameters);
  }

  release(destroy = false): void {
    this.#options.onRelease();
    this.#client.release(destroy || this.#lost !== null);
  }

  lose(error: Error): void {
    this.#lost = error;
    this.#fail?.(error);
  }

  async #sendPrepared<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> {
    const { renewals } = this.#options;
    const name = renewals ? nameOf(text) : undefined;
    if (!renewals || !name) return this.#send<R>({ text }, parameters);
    const renewal = renewals.get(this.#client) ?? 0;
    try {
      return await this.#send<R>({ text, name: `${name}_${renewal}` }, parameters);
    } catch (error) {
      if ((error as { code?: unknown }).code !== STALE) throw error;
      renewals.set(this.#client, renewal + 1);
      // Nothing was done: but in a transaction, nothing more can be.
      if (this.#inTransaction) throw error;
      return this.#send<R>({ text, name: `${name}_${renewal + 1}` }, parameters);
    }
  }

  async #send<R>(
    query: { readonly text: string; readonly name?: string },
    parameters: readonly unknown[],
  ): Promise<PostgresQueryResult<R>> {
    // The rollback of a transaction whose connection is lost need not be waited for, too.
    if (this.#lost) throw this.#lost;
    const lost = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    try {
      const answer = this.#client.query<R & pg.QueryResultRow>({ ...query, values: [...parameters] });
      return (await Promise.race([answer, lost])) as unknown as PostgresQueryResult<R>;
    } catch (error) {
      // The connection still waits for this answer: whoever used it next would wait behind it.
      if (error instanceof Error && error.message === 'Query read timeout') this.#lost = error;
      throw error;
    } finally {
      this.#fail = null;
    }
  }
}
