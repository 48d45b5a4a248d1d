/** The subscriptions that are open in this process, whatever brought them here. */
import type { ExecutionResult, GraphQLError } from 'graphql';

export type ResultStream = AsyncIterableIterator<ExecutionResult, undefined>;

export interface NewSubscription {
  readonly source: AsyncIterator<ExecutionResult>;
  /** Calls `end` when the subscription must end; called off by what it returns. */
  readonly watch: (end: (why: GraphQLError) => void) => () => void;
  /** What the reader is told when the source fails. */
  readonly explain: (error: unknown) => GraphQLError;
}

export class Subscriptions implements Disposable {
  readonly #open = new Set<() => void>();
  #disposed = false;

  get size(): number {
    return this.#open.size;
  }

  /**
   * Hands the source on, one result at a time, only when asked. The stream ends when its reader returns it, when `watch`
   * says so, when the source fails (both with a last result that says why), or when all are ended: at once, also while
   * it waits for an event.
   */
  add({ source, watch, explain }: NewSubscription): ResultStream {
    let ended = false;
    let farewell: ExecutionResult | null = null;
    let release: (() => void) | null = null;

    const finish = (why?: GraphQLError): void => {
      if (ended) return;
      ended = true;
      if (why) farewell = { errors: [why] };
      this.#open.delete(finish);
      unwatch();
      release?.();
      // A source that cannot be closed is the source's trouble: nobody is left who could be told.
      source.return?.()?.catch(() => {});
    };

    const last = (): IteratorResult<ExecutionResult, undefined> => {
      if (!farewell) return { done: true, value: undefined };
      const value = farewell;
      farewell = null;
      return { done: false, value };
    };

    const next = (): Promise<IteratorResult<ExecutionResult, undefined>> =>
      new Promise((resolve) => {
        release = () => resolve(last());
        source.next().then(
          (step) => {
            if (ended) return;
            release = null;
            if (!step.done) return resolve({ done: false, value: step.value });
            finish();
            resolve(last());
          },
          (error: unknown) => finish(explain(error)),
        );
      });

    this.#open.add(finish);
    const unwatch = watch(finish);
    if (this.#disposed) finish();
    return {
      next: () => (ended ? Promise.resolve(last()) : next()),
      async return() {
        finish();
        farewell = null;
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Ends all of them, and every one that is still added. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const finish of [...this.#open]) finish();
  }
}
