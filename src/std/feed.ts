/**
 * Streams that are read without a promise per item: a thousand subscribers of one event are a loop, not a thousand chains of
 * promises. A feed is pulled, as an iterator is: who does not take costs nothing.
 */
export const ENDED = Symbol('ended');

/** Who waits for a feed: an object rather than a function, as thousands wait for long, and a function is one more object. */
export interface Waiter {
  ready(): void;
}

export interface Feed<T extends object> {
  /** The next item; null while there is none. Throws what the source failed with, once, and has ended then. */
  take(): T | null | typeof ENDED;
  /** Only after `take` gave null: calls `ready` once, later, when `take` has something else to say. The last waiter counts. */
  wait(waiter: Waiter): void;
  /** Nobody takes any more: whoever waits is called, and told that it has ended. */
  close(): void;
}

export type FeedIterator<T extends object> = Feed<T> & AsyncIterableIterator<T, undefined>;

function isFeed(value: object): value is Feed<object> {
  return 'take' in value && 'wait' in value && 'close' in value;
}

/** A feed as a feed, any other iterator as one that asks for the next item when somebody waits. */
export function feedOf(source: AsyncIterable<unknown>): Feed<object> {
  return isFeed(source) ? source : new IteratorFeed(source[Symbol.asyncIterator]() as AsyncIterator<object>);
}

class IteratorFeed implements Feed<object> {
  readonly #iterator: AsyncIterator<object>;
  #item: object | null = null;
  #failure: { readonly error: unknown } | null = null;
  #ended = false;
  #asking = false;
  #waiter: Waiter | null = null;

  constructor(iterator: AsyncIterator<object>) {
    this.#iterator = iterator;
  }

  take(): object | null | typeof ENDED {
    const item = this.#item;
    this.#item = null;
    if (item) return item;
    const failure = this.#failure;
    this.#failure = null;
    if (failure) throw failure.error;
    return this.#ended ? ENDED : null;
  }

  wait(waiter: Waiter): void {
    this.#waiter = waiter;
    if (this.#asking) return;
    this.#asking = true;
    this.#iterator.next().then(
      ({ done, value }) => {
        if (this.#ended) return;
        if (done) this.#ended = true;
        else this.#item = value;
        this.#call();
      },
      (error: unknown) => {
        if (this.#ended) return;
        const waiter = this.#waiter;
        this.#waiter = null;
        this.close();
        this.#failure = { error };
        waiter?.ready();
      },
    );
  }

  close(): void {
    this.#failure = null;
    if (this.#ended) return;
    this.#ended = true;
    this.#item = null;
    // A source that cannot be closed is the source's trouble: nobody is left who could be told.
    this.#iterator.return?.()?.catch(() => {});
    this.#call();
  }

  #call(): void {
    this.#asking = false;
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.ready();
  }
}

/** For those who iterate: one at a time, so that two callers never take the same item. */
export abstract class IterableFeed<T extends object> implements FeedIterator<T> {
  #last: Promise<unknown> | null = null;

  abstract take(): T | null | typeof ENDED;
  abstract wait(waiter: Waiter): void;
  abstract close(): void;

  next(): Promise<IteratorResult<T, undefined>> {
    const result = (this.#last ?? Promise.resolve()).then(() => this.#step());
    this.#last = result.catch(() => {});
    return result;
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #step(): Promise<IteratorResult<T, undefined>> {
    while (true) {
      const item = this.take();
      if (item === ENDED) return { done: true, value: undefined };
      if (item !== null) return { done: false, value: item };
      await new Promise<void>((ready) => this.wait({ ready }));
    }
  }
}
