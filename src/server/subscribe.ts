import { createSourceEventStream, type ExecutionResult, type ValidatedSubscriptionArgs } from 'graphql';
import type { Viewer } from '../auth/viewer.ts';
import { ENDED, type Feed, feedOf, type Waiter } from '../std/feed.ts';
import type { Payload } from './payload.ts';
import type { Execution, SharedExecutions, SubscriptionGroup } from './shared-executions.ts';

/** Events of one subscriber that are executed side by side: only what its source has at hand. */
const MAX_AHEAD = 16;

export interface Subscribing {
  readonly args: ValidatedSubscriptionArgs;
  readonly viewer: Viewer;
  readonly executions: Pick<SharedExecutions, 'join'>;
}

/**
 * graphql's `subscribe`, with a new context for every event: its loaders would otherwise show the first event's world
 * for ever. Resolves to one result when there is no stream; may reject.
 */
export async function subscribe({ args, viewer, executions }: Subscribing): Promise<Feed<Payload> | ExecutionResult> {
  const source = await createSourceEventStream(args);
  if (!(Symbol.asyncIterator in source)) return source;
  return new ResultFeed(feedOf(source), executions.join(args, viewer));
}

/** What becomes of a subscriber's events, in their order. */
class ResultFeed implements Feed<Payload> {
  readonly #events: Feed<object>;
  readonly #group: SubscriptionGroup;
  /** Those that are under way, or behind one that is; null while there are none, as with most subscribers. */
  #ahead: Execution[] | null = null;
  /** Of the events, behind those that are ahead. */
  #failure: { readonly error: unknown } | null = null;
  #closed = false;

  constructor(events: Feed<object>, group: SubscriptionGroup) {
    this.#events = events;
    this.#group = group;
  }

  take(): Payload | null | typeof ENDED {
    if (this.#ahead) return this.#takeAhead(this.#ahead);
    const event = this.#takeEvent();
    if (event === null || event === ENDED) return event;
    const execution = this.#group.run(event);
    const { payload } = execution;
    if (!payload) this.#ahead = [execution];
    return payload;
  }

  wait(waiter: Waiter): void {
    const ahead = this.#ahead;
    if (!ahead) {
      this.#events.wait(waiter);
      return;
    }
    this.#runAhead(ahead);
    // What was begun together is mostly done together, and leaves together.
    ahead.findLast(isUnderWay)?.wait(waiter);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ahead = null;
    this.#events.close();
    this.#group.leave();
  }

  #takeAhead(ahead: Execution[]): Payload | null {
    const payload = ahead[0]?.payload ?? null;
    if (payload) ahead.shift();
    if (ahead.length === 0) this.#ahead = null;
    return payload;
  }

  #runAhead(ahead: Execution[]): void {
    try {
      while (ahead.length < MAX_AHEAD && !this.#failure) {
        const event = this.#events.take();
        if (event === null || event === ENDED) return;
        ahead.push(this.#group.run(event));
      }
    } catch (error) {
      this.#failure = { error };
    }
  }

  #takeEvent(): object | null | typeof ENDED {
    const failure = this.#failure;
    this.#failure = null;
    if (failure) throw failure.error;
    return this.#events.take();
  }
}

function isUnderWay(execution: Execution): boolean {
  return execution.isUnderWay;
}
