/** Who sends a request, for every edge of the server: GraphQL over HTTP and WebSocket, and artifacts. */
import { findViewers, readToken } from '../auth/authenticate.ts';
import { hashToken } from '../auth/token-text.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/database.ts';
import { GatheredReads } from '../database/gathered-reads.ts';
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
  /** Of the peer's socket; looked at only where the token is not known yet. */
  readonly address: string | undefined;
}

export interface Look {
  readonly wasValid: boolean;
  readonly viewer: Promise<Viewer | null>;
}

interface Shown {
  readonly wasValid: boolean;
  readonly address: string;
}

export class Authenticator {
  /** Hashes of tokens in base64. Each request has a look of its own, or one that others share: a revoked one is noticed. */
  readonly #viewers: GatheredReads<string, Viewer>;
  readonly #addresses: AddressLimits;
  readonly #known = new Set<string>();
  #suspects = 0;

  constructor(db: Database, addresses: AddressLimits) {
    this.#viewers = new GatheredReads({
      nameOf: (hash) => hash,
      read: (hashes) =>
        findViewers(
          db,
          hashes.map((hash) => Buffer.from(hash, 'base64')),
        ),
    });
    this.#addresses = addresses;
  }

  /**
   * The viewer; null when there is no valid token. Of an address that has come too often without one, what cannot be a
   * token, or comes while two others are looked up, is a RateLimitedError without a query.
   */
  identify(caller: Caller): Promise<Viewer | null> {
    return this.look(caller).viewer;
  }

  /** The same, and at once whether the token was valid lately: then it very likely still is. */
  look({ authorization, address = '' }: Caller): Look {
    const token = readToken(authorization);
    const key = token && hashToken(token).toString('base64');
    const wasValid = key !== null && this.#known.has(key);
    return { wasValid, viewer: this.#identify(key, { wasValid, address }) };
  }

  async #identify(key: string | null, { wasValid, address }: Shown): Promise<Viewer | null> {
    const wait = wasValid ? 0 : this.#addresses.wait(address);
    if (wait > 0 && (key === null || this.#suspects >= MAX_SUSPECTS)) throw new RateLimitedError(wait);
    const viewer = key === null ? null : await this.#authenticate(key, wait > 0);
    if (key !== null) this.#known.delete(key);
    if (viewer && key !== null) this.#remember(key);
    else this.#addresses.recordRefusal(address);
    return viewer;
  }

  async #authenticate(key: string, isSuspect: boolean): Promise<Viewer | null> {
    if (!isSuspect) return this.#viewers.get(key);
    this.#suspects += 1;
    try {
      return await this.#viewers.get(key);
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
