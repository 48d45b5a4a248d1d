import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, validateSubscriptionArgs } from 'graphql';
import type { Viewer } from '../auth/viewer.ts';
import { ENDED, type Feed, feedOf } from '../std/feed.ts';
import type { Payload } from './payload.ts';
import type { Execution, SharedExecutions, SubscriptionGroup } from './shared-executions.ts';

/** Events of one subscriber that are executed side by side: only what its source has at hand. */
const MAX_AHEAD = 16;

export interface Subscribing {
  readonly args: ExecutionArgs;
  readonly viewer: Viewer;
  readonly executions: Pick<SharedExecutions, 'join'>;
}

/**
 * graphql's `subscribe`, with a new context for every event: its loaders would otherwise show the first event's world
 * for ever. Resolves to one result when there is no stream; may reject.
 */
export async function subscribe({ args, viewer, executions }: Subscribing): Promise<Feed<Payload> | ExecutionResult> {
  const validated = validateSubscriptionArgs(args);
  if (!('schema' in validated)) return { errors: validated };
  const source = await createSourceEventStream(validated);
  if (!(Symbol.asyncIterator in source)) return source;
  return new ResultFeed(feedOf(source), executions.join(validated, viewer));
}

/** What becomes of a subscriber's events, in their order. */
class ResultFeed implements Feed<Payload> {
  readonly #events: Feed<object>;
  readonly #group: SubscriptionGroup;
  #ahead: Execution[] = [];
  /** Of the events, behind those that are ahead. */
  #failure: { readonly error: unknown } | null = null;
  #closed = false;

  constructor(events: Feed<object>, group: SubscriptionGroup) {
    this.#events = events;
    this.#group = group;
  }

  take(): Payload | null | typeof ENDED {
    const [first] = this.#ahead;
    if (first) {
      const { payload } = first;
      if (payload) this.#ahead.shift();
      return payload;
    }
    const event = this.#takeEvent();
    if (event === null || event === ENDED) return event;
    const execution = this.#group.run(event);
    const { payload } = execution;
    if (!payload) this.#ahead.push(execution);
    return payload;
  }

  wait(ready: () => void): void {
    if (this.#ahead.length === 0) {
      this.#events.wait(ready);
      return;
    }
    this.#runAhead();
    // What was begun together is mostly done together, and leaves together.
    this.#ahead.findLast(isUnderWay)?.wait(ready);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ahead = [];
    this.#events.close();
    this.#group.leave();
  }

  #runAhead(): void {
    try {
      while (this.#ahead.length < MAX_AHEAD && !this.#failure) {
        const event = this.#events.take();
        if (event === null || event === ENDED) return;
        this.#ahead.push(this.#group.run(event));
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
