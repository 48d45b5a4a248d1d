/**
 * Catch up from a cursor, then go on live: one contract for events, logs and a project's activity. A follower is a
 * cursor, never a queue: it reads rows when its consumer asks for the next one, so a consumer that stops reading
 * costs one page of memory and nothing is lost.
 */
import { ENDED, type FeedIterator, IterableFeed, type Waiter } from '../std/feed.ts';
import type { BuildEvent } from './event.ts';
import type { EventHub } from './event-hub.ts';
import { Tail } from './tail.ts';
import type { Topic } from './topics.ts';

export interface FollowOptions<Row extends object> {
  readonly hub: EventHub;
  readonly topic: Topic;
  /** The rows after a cursor in order, as many as the source likes to give at once; none when there is nothing new. */
  readonly load: (after: number) => Promise<readonly Row[]>;
  readonly cursorOf: (row: Row) => number;
  /** Nothing follows this row. */
  readonly isLast: (row: Row) => boolean;
  readonly after: number;
  /** Followers with the same name read together: their `load` gives the same. Absent: it reads alone. */
  readonly share?: string;
  /** Of a build's topic: the rows that these events, which a hint had with it, are. Absent: rows are always read. */
  readonly rowsOf?: (events: readonly BuildEvent[]) => readonly Row[];
  /** Rows of a full page: after fewer there is nothing more for now. Absent: only after none. */
  readonly page?: number;
}

/**
 * Each row after `after` exactly once and in order; ends after the row that `isLast` names. Written by hand, not as a
 * generator: `return()` must end a `next()` that waits, or every idle subscription would outlive its client.
 */
export function follow<Row extends object>(options: FollowOptions<Row>): FeedIterator<Row> {
  return new Follower(options, Tail.of(options));
}

const NONE: readonly never[] = [];

export class Follower<Row extends object> extends IterableFeed<Row> {
  readonly #tail: Tail<Row>;
  #cursor: number;
  #rows: readonly Row[] = NONE;
  #position = 0;
  #ended = false;
  #failure: { readonly error: unknown } | null = null;
  #waiter: Waiter | null = null;
  #reads: number | null = null;

  constructor({ after }: { readonly after: number }, tail: Tail<Row>) {
    super();
    this.#cursor = after;
    this.#tail = tail;
    tail.enter(this);
  }

  get cursor(): number {
    return this.#cursor;
  }

  /** How often the tail had been woken when everything up to the cursor was read; null: it may not be everything. */
  get knows(): number | null {
    return this.#rows.length === 0 ? this.#reads : null;
  }

  override take(): Row | null | typeof ENDED {
    const row = this.#rows[this.#position];
    if (row === undefined) return this.#last();
    this.#position += 1;
    this.#cursor = this.#tail.cursorOf(row);
    // The page is held only while something of it is left.
    if (this.#position === this.#rows.length) this.#rows = NONE;
    if (this.#tail.isLast(row)) this.close();
    return row;
  }

  override wait(waiter: Waiter): void {
    this.#waiter = waiter;
    if (this.#ended) queueMicrotask(() => this.#call());
    else this.#tail.wait(this);
  }

  override close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#rows = NONE;
    this.#tail.leave(this);
    this.#call();
  }

  /** Of the tail: rows behind the cursor. `wakes`: see `knows`. */
  give(rows: readonly Row[], wakes: number | null): void {
    if (this.#ended) return;
    this.#rows = rows;
    this.#position = 0;
    this.#reads = wakes;
    this.#call();
  }

  /** Of the tail: it could not be read. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#failure = { error };
    this.close();
  }

  #last(): null | typeof ENDED {
    const failure = this.#failure;
    this.#failure = null;
    if (failure) throw failure.error;
    return this.#ended ? ENDED : null;
  }

  #call(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.ready();
  }
}
