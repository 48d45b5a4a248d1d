/** The subscriptions that are open in this process, whatever brought them here. */
import type { GraphQLError } from 'graphql';
import { ENDED, type Feed, type FeedIterator, IterableFeed, type Waiter } from '../std/feed.ts';
import { Payload } from './payload.ts';
import type { Place } from './token-counter.ts';

export type ResultStream = FeedIterator<Payload>;

export function isResultStream(result: object): result is ResultStream {
  return result instanceof Subscription;
}

export interface NewSubscription {
  readonly source: Feed<Payload>;
  /** Calls `end` when the subscription must end, until what it returns is left. */
  readonly watch: (end: (why: GraphQLError) => void) => Place;
  /** What the reader is told when the source fails. */
  readonly explain: (error: unknown) => GraphQLError;
}

export class Subscriptions implements Disposable {
  readonly #open = new Set<Subscription>();
  #disposed = false;

  get size(): number {
    return this.#open.size;
  }

  /**
   * Hands the source on, one result at a time, only when asked. The stream ends when its reader closes it, when `watch`
   * says so, when the source fails (both with a last result that says why), or when all are ended: at once, also while
   * it waits for an event.
   */
  add(options: NewSubscription): ResultStream {
    const subscription = new Subscription(options, this.#open);
    if (this.#disposed) subscription.finish();
    return subscription;
  }

  /** Ends all of them, and every one that is still added. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const subscription of [...this.#open]) subscription.finish();
  }
}

class Subscription extends IterableFeed<Payload> implements Waiter {
  readonly #open: Set<Subscription>;
  readonly #source: Feed<Payload>;
  readonly #explain: (error: unknown) => GraphQLError;
  readonly #place: Place;
  #ended = false;
  #farewell: Payload | null = null;
  #waiter: Waiter | null = null;

  constructor({ source, watch, explain }: NewSubscription, open: Set<Subscription>) {
    super();
    this.#source = source;
    this.#explain = explain;
    this.#open = open;
    open.add(this);
    this.#place = watch((why) => this.finish(why));
  }

  override take(): Payload | null | typeof ENDED {
    if (this.#ended) return this.#last();
    try {
      const item = this.#source.take();
      if (item === ENDED) this.finish();
      return item;
    } catch (error) {
      this.finish(this.#explain(error));
      return this.#last();
    }
  }

  override wait(waiter: Waiter): void {
    this.#waiter = waiter;
    if (this.#ended) queueMicrotask(() => this.ready());
    else this.#source.wait(this);
  }

  /** Of the source: it has something to say. */
  ready(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.ready();
  }

  override close(): void {
    this.finish();
    this.#farewell = null;
  }

  finish(why?: GraphQLError): void {
    if (this.#ended) return;
    this.#ended = true;
    if (why) this.#farewell = Payload.of({ errors: [why] });
    this.#open.delete(this);
    this.#place.leave();
    this.#source.close();
    this.ready();
  }

  #last(): Payload | typeof ENDED {
    const farewell = this.#farewell;
    this.#farewell = null;
    return farewell ?? ENDED;
  }
}
