/** A pool whose connections are given up once nothing comes over them any more. */
import type { PostgresCursor, PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely';
import type pg from 'pg';

/** Nothing comes over this connection any more. `isTransient`: by its code. */
class LostConnectionError extends Error {
  override readonly name = 'LostConnectionError';
  readonly code = 'ETIMEDOUT';
}

export interface GuardedPoolOptions {
  readonly pool: pg.Pool;
  /** Sent together with the `begin` of each transaction; null where the session has all settings. */
  readonly afterBegin: string | null;
  /** Null where no question is asked beside the queries. */
  readonly watch: { readonly silent: boolean; start(): void; stop(): Promise<void> } | null;
}

export interface GuardedPool extends PostgresPool {
  /** Fails every query that is on its way; connections that are open are not used again. */
  loseAll(): void;
}

export function guardPool({ pool, afterBegin, watch }: GuardedPoolOptions): GuardedPool {
  const busy = new Set<GuardedClient>();
  const madeIn = new WeakMap<pg.PoolClient, number>();
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
      const guarded = new GuardedClient(client, afterBegin, () => busy.delete(guarded));
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

class GuardedClient implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #afterBegin: string | null;
  readonly #onRelease: () => void;
  #lost: Error | null = null;
  #fail: ((error: Error) => void) | null = null;

  constructor(client: pg.PoolClient, afterBegin: string | null, onRelease: () => void) {
    this.#client = client;
    this.#afterBegin = afterBegin;
    this.#onRelease = onRelease;
  }

  query<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query<R>(
    query: string | PostgresCursor<R>,
    parameters: readonly unknown[] = [],
  ): Promise<PostgresQueryResult<R>> | PostgresCursor<R> {
    if (typeof query !== 'string') throw new Error('Cursors are not used here.');
    const isBegin = this.#afterBegin !== null && query === 'begin';
    return this.#send<R>(isBegin ? `${query}; ${this.#afterBegin}` : query, parameters);
  }

  release(destroy = false): void {
    this.#onRelease();
    this.#client.release(destroy || this.#lost !== null);
  }

  lose(error: Error): void {
    this.#lost = error;
    this.#fail?.(error);
  }

  async #send<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> {
    // The rollback of a transaction whose connection is lost need not be waited for, too.
    if (this.#lost) throw this.#lost;
    const lost = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    try {
      const answer = this.#client.query<R & pg.QueryResultRow>(sql, [...parameters]);
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
