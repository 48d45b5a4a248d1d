/** How a worker keeps to what administrators say of it: see administer-worker.ts. */
import type { DrainMode } from './drain-mode.ts';
import type { Standing } from './standing.ts';

/** An order whose end is no sooner than this before that of the last one is the same order. */
const SAME_MS = 1_000;

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

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /** Resolves when an administrator has ended it and nothing is left to do here; never while nobody has. */
  get dismissed(): Promise<Dismissal> {
    return this.#dismissed.promise;
  }

  /** Asks what is said, and begins to do it. */
  async heed(): Promise<Standing> {
    const standing = await this.#options.read();
    if (standing.isEvicted) this.#leave();
    else if (standing.drain) this.#drain(standing.drain);
    return standing;
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
