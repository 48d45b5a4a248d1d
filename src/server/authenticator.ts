/** Who sends a request, for every edge of the server: GraphQL over HTTP and WebSocket, and artifacts. */
import { authenticate, readToken } from '../auth/authenticate.ts';
import { hashToken } from '../auth/token-text.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/database.ts';
import { RateLimitedError } from '../errors.ts';
import type { AddressLimits } from './address-limits.ts';

/** Tokens that were valid lately: their senders do not answer for others who have the same address. */
const MAX_KNOWN = 10_000;
/**
 * Tokens that are looked up at a time for addresses which came too often without one. Behind a proxy all have one address:
 * who guesses there must not shut out those whose token this process has not seen yet.
 */
const MAX_SUSPECTS = 2;

export interface Caller {
  readonly authorization: string | null | undefined;
  /** Of the peer's socket. */
  readonly address: string | undefined;
}

export class Authenticator {
  readonly #db: Database;
  readonly #addresses: AddressLimits;
  readonly #known = new Set<string>();
  #suspects = 0;

  constructor(db: Database, addresses: AddressLimits) {
    this.#db = db;
    this.#addresses = addresses;
  }

  /**
   * The viewer; null when there is no valid token. Of an address that has come too often without one, what cannot be a
   * token, or comes while two others are looked up, is a RateLimitedError without a query.
   */
  async identify({ authorization, address = '' }: Caller): Promise<Viewer | null> {
    const token = readToken(authorization);
    const key = token && hashToken(token).toString('base64');
    const wait = key !== null && this.#known.has(key) ? 0 : this.#addresses.wait(address);
    if (wait > 0 && (key === null || this.#suspects >= MAX_SUSPECTS)) throw new RateLimitedError(wait);
    const viewer = await this.#authenticate(authorization, wait > 0);
    if (key !== null) this.#known.delete(key);
    if (viewer && key !== null) this.#remember(key);
    else this.#addresses.recordRefusal(address);
    return viewer;
  }

  async #authenticate(authorization: Caller['authorization'], isSuspect: boolean): Promise<Viewer | null> {
    if (!isSuspect) return authenticate(this.#db, authorization);
    this.#suspects += 1;
    try {
      return await authenticate(this.#db, authorization);
    } finally {
      this.#suspects -= 1;
    }
  }

  #remember(key: string): void {
    const [oldest] = this.#known;
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#known.add(key);
  }
}
