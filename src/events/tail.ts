/** What the followers of one topic have together: one place in the hub, one clock, one read for all at the same cursor. */
import { inTurns } from '../std/in-turns.ts';
import type { EventHub } from './event-hub.ts';
import type { Follower, FollowOptions } from './follow.ts';

/** Hints can be lost, rows cannot: while somebody waits, all look by themselves this often. */
const LOOK_EVERY_MS = 5_000;

/** Followers that wait at one cursor. */
interface Spot<Row extends object> {
  readonly followers: Set<Follower<Row>>;
  reading: boolean;
  /** Something was announced, or somebody came, since the read began: it may have begun too early. */
  again: boolean;
}

/** By hub: those that are shared, by name. */
const shared = new WeakMap<EventHub, Map<string, Tail<never>>>();

export class Tail<Row extends object> {
  readonly #options: FollowOptions<Row>;
  readonly #spots = new Map<number, Spot<Row>>();
  readonly #off: () => void;
  readonly #look: NodeJS.Timeout;
  /** Open followers. */
  #members = 0;
  #wakes = 0;

  /** The one that there is under this name, or a new one. Whoever gets it enters at once. */
  static of<Row extends object>(options: FollowOptions<Row>): Tail<Row> {
    const { hub, share } = options;
    if (share === undefined) return new Tail(options);
    const named = shared.get(hub) ?? new Map<string, Tail<never>>();
    shared.set(hub, named);
    // Under one name there are rows of one kind.
    const tail = (named.get(share) as unknown as Tail<Row> | undefined) ?? new Tail(options);
    named.set(share, tail as unknown as Tail<never>);
    return tail;
  }

  private constructor(options: FollowOptions<Row>) {
    this.#options = options;
    const { hub, topic, rowsOf } = options;
    this.#off = hub.on(topic, (carried) => (carried && rowsOf ? this.#carry(rowsOf(carried)) : this.#wake()));
    this.#look = setInterval(() => this.#wake(), LOOK_EVERY_MS);
  }

  cursorOf(row: Row): number {
    return this.#options.cursorOf(row);
  }

  isLast(row: Row): boolean {
    return this.#options.isLast(row);
  }

  enter(_follower: Follower<Row>): void {
    this.#members += 1;
  }

  leave(follower: Follower<Row>): void {
    const { cursor } = follower;
    const spot = this.#spots.get(cursor);
    if (spot?.followers.delete(follower) && spot.followers.size === 0 && !spot.reading) this.#spots.delete(cursor);
    this.#members -= 1;
    if (this.#members > 0) return;
    this.#off();
    clearInterval(this.#look);
    const { hub, share } = this.#options;
    if (share !== undefined) shared.get(hub)?.delete(share);
  }

  /** Gives the follower rows, later, as soon as there are any behind its cursor. */
  wait(follower: Follower<Row>): void {
    const { cursor } = follower;
    let spot = this.#spots.get(cursor);
    if (!spot) {
      spot = { followers: new Set(), reading: false, again: false };
      this.#spots.set(cursor, spot);
    }
    if (spot.followers.has(follower)) return;
    spot.followers.add(follower);
    if (follower.knows !== this.#wakes) this.#read(cursor, spot);
  }

  #wake(): void {
    this.#wakes += 1;
    for (const [cursor, spot] of this.#spots) this.#read(cursor, spot);
  }

  /** A hint that has the newest rows with it. They are given to who has all before them; everybody else reads. */
  #carry(rows: readonly Row[]): void {
    this.#wakes += 1;
    for (const [cursor, spot] of [...this.#spots]) {
      const fresh = rows.filter((row) => this.cursorOf(row) > cursor);
      const [first] = fresh;
      if (!first || this.cursorOf(first) !== cursor + 1) {
        this.#read(cursor, spot);
        continue;
      }
      const followers = [...spot.followers];
      // What is being read now goes to those who come here meanwhile.
      spot.followers.clear();
      if (!spot.reading) this.#spots.delete(cursor);
      // A read that is under way is for an earlier hint, which may have been about a row behind these.
      const wakes = spot.reading ? null : this.#wakes;
      inTurns(followers, (follower) => follower.give(fresh, wakes));
    }
  }

  #read(cursor: number, spot: Spot<Row>): void {
    if (spot.reading) {
      spot.again = true;
      return;
    }
    spot.reading = true;
    spot.again = false;
    const wakes = this.#wakes;
    this.#options.load(cursor).then(
      (rows) => this.#answer(cursor, spot, { rows, wakes }),
      (error: unknown) => {
        this.#spots.delete(cursor);
        for (const follower of spot.followers) follower.fail(error);
      },
    );
  }

  #answer(cursor: number, spot: Spot<Row>, { rows, wakes }: { rows: readonly Row[]; wakes: number }): void {
    spot.reading = false;
    if (rows.length === 0) {
      if (spot.followers.size === 0) this.#spots.delete(cursor);
      else if (spot.again) this.#read(cursor, spot);
      return;
    }
    this.#spots.delete(cursor);
    const { page = Number.POSITIVE_INFINITY } = this.#options;
    const all = rows.length < page && page !== Number.POSITIVE_INFINITY && !spot.again;
    inTurns([...spot.followers], (follower) => follower.give(rows, all ? wakes : null));
  }
}
