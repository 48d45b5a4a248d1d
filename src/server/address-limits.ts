/** How often an address may come without a valid token. Held in this process alone: it costs nothing, and is no secret. */

const MAX_ADDRESSES = 10_000;
const MINUTE_MS = 60_000;

export interface AddressLimitsOptions {
  /** Refusals of one address; 0 for any number. */
  readonly perMinute: number;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

interface Bucket {
  refusals: number;
  at: number;
}

export class AddressLimits {
  readonly #perMinute: number;
  readonly #now: () => number;
  /** The one that was refused last is at the end; the first goes when there are too many. */
  readonly #buckets = new Map<string, Bucket>();

  constructor({ perMinute, now = () => performance.now() }: AddressLimitsOptions) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Whole seconds until this address may try again; 0 when it may. */
  wait(address: string): number {
    if (this.#perMinute === 0) return 0;
    const excess = this.#refusalsOf(networkOf(address)) + 1 - this.#perMinute;
    return excess > 0 ? Math.ceil((excess / this.#perMinute) * (MINUTE_MS / 1_000)) : 0;
  }

  recordRefusal(address: string): void {
    if (this.#perMinute === 0) return;
    const key = networkOf(address);
    const bucket = { refusals: this.#refusalsOf(key) + 1, at: this.#now() };
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MAX_ADDRESSES && oldest !== undefined) this.#buckets.delete(oldest);
  }

  /** Forgotten one by one, at the rate that is allowed. */
  #refusalsOf(key: string): number {
    const bucket = this.#buckets.get(key);
    if (!bucket) return 0;
    const forgotten = ((this.#now() - bucket.at) / MINUTE_MS) * this.#perMinute;
    return Math.max(0, bucket.refusals - forgotten);
  }
}

/** Whoever has an IPv6 address has 2^64 of them. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address;
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? [];
  const before = head.split(':').filter(Boolean);
  const after = (tail ?? '').split(':').filter(Boolean);
  const zeros = Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0');
  return [...before, ...(tail === undefined ? [] : zeros), ...after].slice(0, 4).join(':');
}
