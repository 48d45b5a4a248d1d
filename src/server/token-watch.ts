/**
 * Tells open connections that their token was revoked, has expired, or was rotated. One query for all of them, twice a
 * second while there are any: a thousand idle subscriptions cost what one costs, and revoking acts on them, too.
 */
import { findLostSecrets, type ShownSecret } from '../auth/find-lost-secrets.ts';
import type { Database } from '../database/database.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface TokenWatchOptions {
  readonly db: Database;
  readonly logger: Logger;
  readonly everyMs: number;
}

interface Watched extends ShownSecret {
  readonly key: string;
  readonly watchers: Set<() => void>;
}

export class TokenWatch implements Disposable {
  readonly #options: TokenWatchOptions;
  readonly #watched = new Map<string, Watched>();
  #timer: NodeJS.Timeout | null = null;
  #checking = false;

  constructor(options: TokenWatchOptions) {
    this.#options = options;
  }

  /** Calls `onLost` once when the secret is no longer valid, until the returned function is called. */
  watch({ tokenId, secretVersion }: ShownSecret, onLost: () => void): () => void {
    const key = `${tokenId} ${secretVersion}`;
    const watched = this.#watched.get(key) ?? { key, tokenId, secretVersion, watchers: new Set() };
    this.#watched.set(key, watched);
    watched.watchers.add(onLost);
    this.#timer ??= setInterval(() => void this.#check(), this.#options.everyMs).unref();
    return () => {
      watched.watchers.delete(onLost);
      if (watched.watchers.size === 0) this.#forget(watched);
    };
  }

  [Symbol.dispose](): void {
    this.#watched.clear();
    this.#stop();
  }

  #forget(watched: Watched): void {
    if (this.#watched.get(watched.key) === watched) this.#watched.delete(watched.key);
    if (this.#watched.size === 0) this.#stop();
  }

  #stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  async #check(): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    try {
      const lost = await findLostSecrets(this.#options.db, [...this.#watched.values()]);
      for (const watched of lost) {
        this.#forget(watched);
        for (const onLost of [...watched.watchers]) onLost();
      }
    } catch (error) {
      // Without the database nothing is delivered either; the next look comes in a moment.
      this.#options.logger.debug({ err: error }, 'tokens could not be looked up');
    } finally {
      this.#checking = false;
    }
  }
}
