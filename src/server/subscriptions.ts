/** The subscriptions that are open in this process, whatever brought them here. */
import type { GraphQLError } from 'graphql';
import { ENDED, type Feed, type FeedIterator, IterableFeed } from '../std/feed.ts';
import { Payload } from './payload.ts';

export type ResultStream = FeedIterator<Payload>;

export function isResultStream(result: object): result is ResultStream {
  return result instanceof Subscription;
}

export interface NewSubscription {
  readonly source: Feed<Payload>;
  /** Calls `end` when the subscription must end; called off by what it returns. */
  readonly watch: (end: (why: GraphQLError) => void) => () => void;
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

class Subscription extends IterableFeed<Payload> {
  readonly #open: Set<Subscription>;
  readonly #source: Feed<Payload>;
  readonly #explain: (error: unknown) => GraphQLError;
  readonly #unwatch: () => void;
  #ended = false;
  #farewell: Payload | null = null;
  #ready: (() => void) | null = null;

  constructor({ source, watch, explain }: NewSubscription, open: Set<Subscription>) {
    super();
    this.#source = source;
    this.#explain = explain;
    this.#open = open;
    open.add(this);
    this.#unwatch = watch((why) => this.finish(why));
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

  override wait(ready: () => void): void {
    this.#ready = ready;
    if (this.#ended) queueMicrotask(this.#call);
    else this.#source.wait(this.#call);
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
    this.#unwatch();
    this.#source.close();
    this.#call();
  }

  #last(): Payload | typeof ENDED {
    const farewell = this.#farewell;
    this.#farewell = null;
    return farewell ?? ENDED;
  }

  readonly #call = (): void => {
    const ready = this.#ready;
    this.#ready = null;
    ready?.();
  };
}
