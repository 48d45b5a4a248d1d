/**
 * Tells open connections that their token was revoked or has expired. One query for all of them, every second while
 * there are any: a thousand idle subscriptions cost what one costs, and revoking acts on them, too.
 */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface TokenWatchOptions {
  readonly db: Database;
  readonly logger: Logger;
  readonly everyMs: number;
}

export class TokenWatch implements Disposable {
  readonly #options: TokenWatchOptions;
  readonly #watchers = new Map<string, Set<() => void>>();
  #timer: NodeJS.Timeout | null = null;
  #checking = false;

  constructor(options: TokenWatchOptions) {
    this.#options = options;
  }

  /** Calls `onLost` once when the token is no longer valid, until the returned function is called. */
  watch(tokenId: string, onLost: () => void): () => void {
    const watchers = this.#watchers.get(tokenId) ?? new Set();
    this.#watchers.set(tokenId, watchers);
    watchers.add(onLost);
    this.#timer ??= setInterval(() => void this.#check(), this.#options.everyMs).unref();
    return () => {
      watchers.delete(onLost);
      if (watchers.size === 0 && this.#watchers.get(tokenId) === watchers) this.#watchers.delete(tokenId);
      if (this.#watchers.size === 0) this.#stop();
    };
  }

  [Symbol.dispose](): void {
    this.#watchers.clear();
    this.#stop();
  }

  #stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  async #check(): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    try {
      const asked = [...this.#watchers.keys()];
      const valid = await this.#findValid(asked);
      for (const tokenId of asked) {
        if (!valid.has(tokenId)) for (const onLost of [...(this.#watchers.get(tokenId) ?? [])]) onLost();
      }
    } catch (error) {
      // Without the database nothing is delivered either; the next look comes in a moment.
      this.#options.logger.debug({ err: error }, 'tokens could not be looked up');
    } finally {
      this.#checking = false;
    }
  }

  async #findValid(tokenIds: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = await this.#options.db
      .selectFrom('api_tokens')
      .select('id')
      .where('id', 'in', tokenIds)
      .where('revoked_at', 'is', null)
      .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]))
      .execute();
    return new Set(rows.map((row) => row.id));
  }
}
