/** Requests of this process that wait for something to happen: few enough, and let go of when the process ends. */
import type { Viewer } from '../../auth/viewer.ts';
import { TokenCounter } from '../token-counter.ts';
import type { TokenWatch } from '../token-watch.ts';
import { Refusal } from './refusal.ts';

/** Seconds of one. */
export const MAX_WAIT_SECONDS = 60;
/** A wake-up may be lost: whoever waits looks by itself this often. */
const LOOK_EVERY_MS = 5_000;

export interface LongPollOptions {
  readonly perProcess: number;
  readonly perToken: number;
  /** Aborts when the process is about to end. */
  readonly closing: AbortSignal;
}

export interface Wait {
  readonly viewer: Viewer;
  readonly seconds: number;
  /** Aborts when the caller has gone. */
  readonly gone: AbortSignal;
  readonly tokens: TokenWatch;
  /** Calls `wake` when there may be something new, until the returned function is called. */
  readonly listen: (wake: () => void) => () => void;
  /** True: it has happened. */
  readonly look: () => Promise<boolean>;
}

export class LongPolls {
  readonly #options: LongPollOptions;
  readonly #perToken: TokenCounter;
  #size = 0;

  constructor(options: LongPollOptions) {
    this.#options = options;
    this.#perToken = new TokenCounter(options.perToken);
  }

  /**
   * Resolves when it has happened, when the time is over, when the caller has gone, or when this process ends. Throws a
   * Refusal when too many wait already, or when the token is lost.
   */
  async wait({ viewer, gone, tokens, seconds, listen, look }: Wait): Promise<void> {
    using _place = this.#enter(viewer);
    const lost = new AbortController();
    const timeout = AbortSignal.timeout(seconds * 1_000);
    const over = AbortSignal.any([timeout, gone, this.#options.closing, lost.signal]);
    const bell = new Bell();
    using waiting = new DisposableStack();
    waiting.defer(tokens.watch(viewer, () => lost.abort()));
    waiting.defer(listen(() => bell.ring()));
    while (!over.aborted) {
      bell.mute();
      if (await look()) return;
      await bell.heard(over, LOOK_EVERY_MS);
    }
    if (lost.signal.aborted) throw Refusal.unauthenticated();
  }

  #enter(viewer: Viewer): Disposable {
    if (this.#size >= this.#options.perProcess) {
      throw new Refusal(503, 'UNAVAILABLE', 'Too many requests wait here at the same time.', { retryAfter: 2 });
    }
    const place = this.#perToken.enter(viewer.tokenId);
    if (!place) {
      const detail = `One token can have ${this.#options.perToken} waiting requests at the same time.`;
      throw new Refusal(429, 'TOO_MANY_OPERATIONS', detail, { retryAfter: 1 });
    }
    this.#size += 1;
    return {
      [Symbol.dispose]: () => {
        place.leave();
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
