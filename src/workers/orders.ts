/** How a worker keeps to what administrators say of it: see administer-worker.ts. */
import { HEARTBEAT_EVERY_MS } from '../builds/lease.ts';
import type { DrainMode } from './drain-mode.ts';
import type { Standing } from './standing.ts';

/** An order whose end is no sooner than this before that of the last one is the same order. */
const SAME_MS = 1_000;

/** As of the last heartbeat is good enough for a claim: orders are announced, and it refuses itself whoever takes no work. */
const FRESH_MS = HEARTBEAT_EVERY_MS + 1_000;

/** Why a worker has come to its end by itself. */
export type Dismissal = 'drained' | 'evicted';

export interface OrdersOptions {
  readonly read: () => Promise<Standing>;
  readonly drain: (graceMs: number, mode: DrainMode) => Promise<void>;
  /** What it runs is no longer its own. */
  readonly letGo: () => void;
}

export class Orders {
  readonly #options: OrdersOptions;
  readonly #dismissed = Promise.withResolvers<Dismissal>();
  #drainEndsAt: number | null = null;
  #evicted = false;
  #last: { readonly standing: Standing; readonly readAt: number } | null = null;

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /** Resolves when an administrator has ended it and nothing is left to do here; never while nobody has. */
  get dismissed(): Promise<Dismissal> {
    return this.#dismissed.promise;
  }

  /** Asks what is said, and begins to do it. */
  async heed(): Promise<Standing> {
    const readAt = performance.now();
    const standing = await this.#options.read();
    this.#last = standing.takesWork ? { standing, readAt } : null;
    if (standing.isEvicted) this.#leave();
    else if (standing.drain) this.#drain(standing.drain);
    return standing;
  }

  /** The same without asking, if it took work a moment ago. */
  async heedLately(): Promise<Standing> {
    const last = this.#last;
    return last && performance.now() - last.readAt < FRESH_MS ? last.standing : this.heed();
  }

  /** What was read is not true any more. */
  forget(): void {
    this.#last = null;
  }

  #leave(): void {
    if (this.#evicted) return;
    this.#evicted = true;
    this.#options.letGo();
    // What was claimed at that moment is given back like everything at an end.
    void this.#options.drain(0, 'put back').then(() => this.#dismissed.resolve('evicted'));
  }

  #drain({ graceSeconds, mode }: NonNullable<Standing['drain']>): void {
    const graceMs = graceSeconds * 1_000;
    const endsAt = performance.now() + graceMs;
    if (this.#drainEndsAt !== null && endsAt > this.#drainEndsAt - SAME_MS) return;
    this.#drainEndsAt = endsAt;
    const drained = this.#options.drain(graceMs, mode === 'LEAVE' ? 'leave' : 'put back');
    void drained.then(() => this.#dismissed.resolve('drained'));
  }
}
