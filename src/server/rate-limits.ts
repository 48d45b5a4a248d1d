/**
 * How much each token may ask for: a bucket of points in Postgres for all processes together, refilled continuously. A
 * process takes portions of it, so that one request in a hundred costs a statement. What is left of a portion after a few
 * seconds goes back: in any time, all processes together spend at most a full bucket and what is refilled in that time and
 * in twice the life of a portion. While Postgres does not answer, each process counts by itself, and tells it afterwards.
 */
import type { RateLimit } from '../../schema/rate-limit.ts';
import { RateLimitedError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { RateBudgets } from './rate-budgets.ts';

/** How long a portion may be spent. */
export const PORTION_MS = 5_000;
/** Of a full bucket: what is taken on top of what is needed. */
const EXTRA_SHARE = 1 / 20;
/** Nobody waits longer for Postgres, which may be away, or busy with what one token asks of it. */
const ANSWER_WITHIN_MS = 500;
const ASK_AGAIN_MS = 1_000;

export interface RateLimitsOptions {
  readonly budgets: RateBudgets;
  readonly logger: Logger;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
  /** Without an answer for so long, Postgres counts as away. */
  readonly answerWithinMs?: number;
}

interface Waiting {
  readonly cost: number;
  readonly served: (limit: RateLimit) => void;
  readonly refused: (error: unknown) => void;
}

/** What this process holds of one token's budget. */
interface Pot {
  /** Less than none: what was spent while Postgres could not be asked, and will be told. */
  points: number;
  expiresAt: number;
  /** What was left for everybody, and when that was known. */
  left: number;
  leftAt: number;
  waiting: Waiting[];
  taking: boolean;
}

export class RateLimits implements AsyncDisposable {
  readonly #options: Required<RateLimitsOptions>;
  /** Of the tokens that asked for something in the last seconds. */
  readonly #pots = new Map<string, Pot>();
  readonly #giving = new Set<Promise<unknown>>();
  #sweeper: NodeJS.Timeout | null = null;
  #awayUntil = Number.NEGATIVE_INFINITY;

  constructor(options: RateLimitsOptions) {
    this.#options = { now: () => performance.now(), answerWithinMs: ANSWER_WITHIN_MS, ...options };
  }

  /**
   * Takes `cost` points, at most the capacity, and gives what is left. Throws RateLimitedError when there are not enough.
   * Never waits long for Postgres: without its answer, this process goes by what it knows of the budget.
   */
  async spend(tokenId: string, cost: number): Promise<RateLimit> {
    const moment = this.#options.now();
    const pot = this.#potOf(tokenId);
    // Whoever waits goes first.
    if (pot.waiting.length === 0 && pot.expiresAt > moment && pot.points >= cost) {
      pot.points -= cost;
      return this.#limitOf(pot, cost, moment);
    }
    return new Promise((served, refused) => {
      if (moment < this.#awayUntil) return this.#serveAlone(pot, { cost, served, refused });
      pot.waiting.push({ cost, served, refused });
      if (!pot.taking) void this.#take(tokenId, pot);
    });
  }

  /** Gives back what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#sweeper) clearInterval(this.#sweeper);
    this.#sweeper = null;
    await this.sweep(Number.POSITIVE_INFINITY);
  }

  /** Gives back the portions whose time is over at `moment`; done by itself as often as a portion lives. */
  async sweep(moment = this.#options.now()): Promise<void> {
    for (const [tokenId, pot] of this.#pots) {
      const isInDebt = pot.points < 0 && this.#leftOf(pot) < this.#options.budgets.budget.capacity;
      if (pot.taking || pot.expiresAt > moment || isInDebt) continue;
      this.#pots.delete(tokenId);
      if (pot.points > 0) this.#giveBack(tokenId, pot.points);
    }
    if (this.#pots.size === 0 && this.#sweeper) {
      clearInterval(this.#sweeper);
      this.#sweeper = null;
    }
    await Promise.all(this.#giving);
  }

  #potOf(tokenId: string): Pot {
    const known = this.#pots.get(tokenId);
    if (known) return known;
    const { now, budgets } = this.#options;
    const left = { left: budgets.budget.capacity, leftAt: now() };
    const pot: Pot = { points: 0, expiresAt: 0, ...left, waiting: [], taking: false };
    this.#pots.set(tokenId, pot);
    this.#sweeper ??= setInterval(() => void this.sweep(), PORTION_MS).unref();
    return pot;
  }

  /** One statement for all who wait; those who come meanwhile wait for the next. */
  async #take(tokenId: string, pot: Pot): Promise<void> {
    const { budgets, now, logger, answerWithinMs } = this.#options;
    pot.taking = true;
    while (pot.waiting.length > 0) {
      const waiting = pot.waiting;
      pot.waiting = [];
      const givenBack = pot.points;
      pot.points = 0;
      const needs = waiting.map(({ cost }) => cost);
      const extra = Math.ceil(budgets.budget.capacity * EXTRA_SHARE);
      try {
        const { granted, left } = await within(answerWithinMs, budgets.take({ tokenId, givenBack, needs, extra }));
        Object.assign(pot, { points: granted, left, leftAt: now(), expiresAt: now() + PORTION_MS });
        for (const one of waiting) this.#serve(pot, one);
      } catch (error) {
        logger.debug({ err: error }, 'rate limits cannot be looked up');
        this.#awayUntil = now() + ASK_AGAIN_MS;
        // Postgres may have heard all the same: a debt is rather told twice than forgotten.
        pot.points = Math.min(0, givenBack);
        for (const one of [...waiting, ...pot.waiting.splice(0)]) this.#serveAlone(pot, one);
      }
    }
    pot.taking = false;
  }

  #serve(pot: Pot, { cost, served, refused }: Waiting): void {
    if (pot.points >= cost) {
      pot.points -= cost;
      served(this.#limitOf(pot, cost));
      return;
    }
    refused(this.#tooLittle(pot, cost));
  }

  /** Without Postgres: from what was left when it was last heard of; from a full budget, where it was not. */
  #serveAlone(pot: Pot, { cost, served, refused }: Waiting): void {
    if (this.#leftOf(pot) < cost) {
      refused(this.#tooLittle(pot, cost));
      return;
    }
    pot.points -= cost;
    served(this.#limitOf(pot, cost));
  }

  #tooLittle(pot: Pot, cost: number): RateLimitedError {
    const missing = cost - this.#leftOf(pot);
    const seconds = Math.max(1, Math.ceil(missing / this.#options.budgets.budget.pointsPerSecond));
    return new RateLimitedError(seconds, this.#limitOf(pot, cost));
  }

  #leftOf(pot: Pot, moment = this.#options.now()): number {
    const { capacity, pointsPerSecond } = this.#options.budgets.budget;
    const refilled = ((moment - pot.leftAt) / 1_000) * pointsPerSecond;
    return Math.min(capacity, pot.points + pot.left + refilled);
  }

  #limitOf(pot: Pot, cost: number, moment = this.#options.now()): RateLimit {
    const { capacity, pointsPerSecond } = this.#options.budgets.budget;
    const remaining = Math.max(0, Math.floor(this.#leftOf(pot, moment)));
    const resetAt = new Date(Date.now() + Math.ceil(((capacity - remaining) / pointsPerSecond) * 1_000));
    return { limit: capacity, cost, remaining, resetAt };
  }

  /** What does not arrive is lost to its token: it is refilled soon. */
  #giveBack(tokenId: string, points: number): void {
    const giving = this.#options.budgets
      .take({ tokenId, givenBack: points, needs: [], extra: 0 })
      .catch((error: unknown) => this.#options.logger.debug({ err: error }, 'a rate portion could not be given back'))
      .finally(() => this.#giving.delete(giving));
    this.#giving.add(giving);
  }
}

async function within<T>(limitMs: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  });
  // Nobody waits for what comes too late.
  answer.catch(() => {});
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
