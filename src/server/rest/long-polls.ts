/** Requests of this process that wait for something to happen: few enough, and let go of when the process ends. */
import type { Viewer } from '../../auth/viewer.ts';
import { TokenCounter } from '../token-counter.ts';
import type { TokenWatch } from '../token-watch.ts';
import { Refusal } from './refusal.ts';

/** Seconds of one. */
export const MAX_WAIT_SECONDS = 60;
/** A wake-up may be lost: whoever waits looks by itself this often. */
const LOOK_EVERY_MS = 5_000;

export interface LongPollLimits {
  readonly perProcess: number;
  readonly perToken: number;
}

export interface Caller {
  readonly viewer: Viewer;
  /** Aborts when the caller has gone. */
  readonly gone: AbortSignal;
  readonly tokens: TokenWatch;
}

export interface Wait {
  readonly caller: Caller;
  readonly seconds: number;
  /** Calls `wake` when there may be something new, until the returned function is called. */
  readonly listen: (wake: () => void) => () => void;
  /** True: it has happened. */
  readonly look: () => Promise<boolean>;
}

export class LongPolls implements Disposable {
  readonly #limits: LongPollLimits;
  readonly #perToken: TokenCounter;
  readonly #closing = new AbortController();
  #size = 0;

  constructor(limits: LongPollLimits) {
    this.#limits = limits;
    this.#perToken = new TokenCounter(limits.perToken);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Runs what waits. Its signal aborts when nobody waits for it any more: the caller has gone or lost the token, or this
   * process ends. Throws a Refusal when too many wait already, or when the token was lost.
   */
  async hold<T>({ viewer, gone, tokens }: Caller, work: (over: AbortSignal) => Promise<T>): Promise<T> {
    using _place = this.#enter(viewer);
    const lost = new AbortController();
    using waiting = new DisposableStack();
    waiting.defer(tokens.watch(viewer, () => lost.abort()));
    const result = await work(AbortSignal.any([gone, this.#closing.signal, lost.signal]));
    if (lost.signal.aborted) throw Refusal.unauthenticated();
    return result;
  }

  /** Resolves when it has happened, when the time is over, or as `hold` says. */
  async wait({ caller, seconds, listen, look }: Wait): Promise<void> {
    await this.hold(caller, async (nobody) => {
      const over = AbortSignal.any([nobody, AbortSignal.timeout(seconds * 1_000)]);
      const bell = new Bell();
      using listening = new DisposableStack();
      listening.defer(listen(() => bell.ring()));
      while (!over.aborted) {
        bell.mute();
        if (await look()) return;
        await bell.heard(over, LOOK_EVERY_MS);
      }
    });
  }

  /** Ends all of them, and every one that still comes. */
  [Symbol.dispose](): void {
    this.#closing.abort();
  }

  #enter(viewer: Viewer): Disposable {
    if (this.#size >= this.#limits.perProcess) {
      throw new Refusal(503, 'UNAVAILABLE', 'Too many requests wait here at the same time.', { retryAfter: 2 });
    }
    const leave = this.#perToken.enter(viewer.tokenId);
    if (!leave) {
      const detail = `One token can have ${this.#limits.perToken} waiting requests at the same time.`;
      throw new Refusal(429, 'TOO_MANY_OPERATIONS', detail, { retryAfter: 1 });
    }
    this.#size += 1;
    return {
      [Symbol.dispose]: () => {
        leave();
        this.#size -= 1;
      },
    };
  }
}

/** Remembers that it was rung while nobody listened. */
class Bell {
  #rung = false;
  #hear: (() => void) | null = null;

  ring(): void {
    this.#rung = true;
    this.#hear?.();
  }

  /** Before a look: whatever rings from here on is looked for again. */
  mute(): void {
    this.#rung = false;
  }

  heard(over: AbortSignal, atMostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        over.removeEventListener('abort', done);
        this.#hear = null;
        resolve();
      };
      const timer = setTimeout(done, atMostMs);
      this.#hear = done;
      over.addEventListener('abort', done);
      if (this.#rung || over.aborted) done();
    });
  }
}
