/** A client of a run: asks one server after the other, until somebody answers. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, createClient } from '../../src/client/client.ts';
import { ApiError } from '../../src/client/errors.ts';
import type { Cluster } from './cluster.ts';
import type { Random } from './random.ts';

const ANSWER_WITHIN_MS = 8_000;
const RETRY_PAUSE_MS = 300;
/** Who is asked to stop still wants the last answer. */
const LAST_ANSWER_MS = 20_000;

export interface AskerOptions {
  readonly cluster: Pick<Cluster, 'servers' | 'token'>;
  readonly random: Random;
  readonly stopping: AbortSignal;
  /** Code of an API error -> how often it was answered. CONNECTION: no answer at all. */
  readonly errors: Record<string, number>;
}

export class Asker implements AsyncDisposable {
  readonly #options: AskerOptions;
  readonly #clients: readonly Client[];
  #deadline: number | null = null;

  constructor(options: AskerOptions) {
    this.#options = options;
    const { servers, token } = options.cluster;
    this.#clients = servers.map(({ url }) => createClient({ url, token, fetch: impatientFetch }));
  }

  /**
   * Null when a server has refused for good, which is counted, and when none has answered until some time after the asker
   * was told to stop, or until `until`, on the clock of `performance.now()`.
   */
  async untilAnswered<T>(send: (client: Client) => Promise<T>, until = Number.POSITIVE_INFINITY): Promise<T | null> {
    const { random, stopping } = this.#options;
    for (;;) {
      try {
        return await send(random.pick(this.#clients));
      } catch (error) {
        const code = error instanceof ApiError ? error.code : 'CONNECTION';
        this.count(code);
        if (error instanceof ApiError && !error.retryable && code !== 'RATE_LIMITED') return null;
      }
      if (stopping.aborted) this.#deadline ??= performance.now() + LAST_ANSWER_MS;
      if (performance.now() > Math.min(until, this.#deadline ?? until)) return null;
      await delay(RETRY_PAUSE_MS * (0.5 + Math.random()));
    }
  }

  count(code: string): void {
    const { errors } = this.#options;
    errors[code] = (errors[code] ?? 0) + 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}

/** A server that was stopped answers nobody. */
const impatientFetch: typeof fetch = (input, init) => {
  const patience = AbortSignal.timeout(ANSWER_WITHIN_MS);
  return fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, patience]) : patience });
};

export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => {});
}
