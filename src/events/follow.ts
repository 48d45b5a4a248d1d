/**
 * Catch up from a cursor, then go on live: one contract for events, logs and a project's activity. A follower is a
 * cursor, never a queue: it reads rows when its consumer asks for the next one, so a consumer that stops reading
 * costs one page of memory and nothing is lost.
 */
import type { EventHub } from './event-hub.ts';
import type { Topic } from './topics.ts';

/** Hints can be lost, rows cannot: a waiting follower looks by itself this often. */
const LOOK_EVERY_MS = 5_000;

export interface FollowOptions<Row> {
  readonly hub: EventHub;
  readonly topic: Topic;
  /** The rows after a cursor in order, as many as the source likes to give at once; none when there is nothing new. */
  readonly load: (after: number) => Promise<readonly Row[]>;
  readonly cursorOf: (row: Row) => number;
  /** Nothing follows this row. */
  readonly isLast: (row: Row) => boolean;
  readonly after: number;
}

/**
 * Each row after `after` exactly once and in order; ends after the row that `isLast` names. Written by hand, not as a
 * generator: `return()` must end a `next()` that waits, or every idle subscription would outlive its client.
 */
export function follow<Row>(options: FollowOptions<Row>): AsyncIterableIterator<Row> {
  let cursor = options.after;
  let rows: readonly Row[] = [];
  let position = 0;
  let done = false;
  let woken = false;
  let resume: (() => void) | null = null;
  const wake = () => {
    woken = true;
    resume?.();
  };
  const off = options.hub.on(options.topic, wake);

  const finish = () => {
    done = true;
    off();
    wake();
  };

  const somethingNew = () =>
    new Promise<void>((proceed) => {
      const timer = setTimeout(wake, LOOK_EVERY_MS);
      resume = () => {
        clearTimeout(timer);
        resume = null;
        proceed();
      };
      if (woken) resume();
    });

  const next = async (): Promise<IteratorResult<Row>> => {
    while (!done) {
      const row = rows[position];
      if (row !== undefined) {
        position += 1;
        cursor = options.cursorOf(row);
        if (options.isLast(row)) finish();
        return { done: false, value: row };
      }
      // Lowered before the rows are read: whatever is announced from here on is looked for again.
      woken = false;
      rows = await options.load(cursor);
      position = 0;
      if (rows.length === 0 && !done) await somethingNew();
    }
    return { done: true, value: undefined };
  };

  let last: Promise<unknown> = Promise.resolve();
  return {
    next() {
      // One at a time, so that two callers never read the same row.
      const result = last.then(next);
      last = result.catch(() => finish());
      return result;
    },
    async return() {
      finish();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
