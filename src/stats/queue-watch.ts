/**
 * The queue's figures as they change: one reader for each filter in a process, however many look on. It reads when it is
 * told that something happened, at most every MIN_GAP_MS, and never for more than a tenth of the time. Who is slow is given
 * the newest figures and misses those between.
 */
import type { Database } from '../database/database.ts';
import type { EventHub } from '../events/event-hub.ts';
import { PROJECTS_TOPIC, projectTopic, QUEUE_TOPIC, type Topic } from '../events/topics.ts';
import { type QueueFilter, type QueueStats, readQueueStats } from './queue-stats.ts';

const MIN_GAP_MS = 500;
/** Of what a read takes, until the next one. */
const REST = 9;
/** Hints can be lost, and figures of the last minutes change by themselves. */
const LOOK_EVERY_MS = 5_000;

export interface QueueFrame {
  readonly filter: QueueFilter;
  readonly stats: QueueStats;
}

interface QueueWatchDeps {
  readonly db: Database;
  readonly hub: EventHub;
  readonly workerTimeoutSeconds: number;
}

/** Figures of these projects, null for all: at once, and then whenever they have changed. It does not end by itself. */
export type QueueWatch = (projectIds: readonly string[] | null) => AsyncIterableIterator<QueueFrame>;

export function queueWatch(deps: QueueWatchDeps): QueueWatch {
  const readers = new Map<string, QueueReader>();
  return (projectIds) => {
    const sorted = projectIds && [...projectIds].toSorted();
    const key = JSON.stringify(sorted);
    const known = readers.get(key);
    if (known) return lookOn(known);
    const reader = new QueueReader(deps, sorted, () => {
      if (readers.get(key) === reader) readers.delete(key);
    });
    readers.set(key, reader);
    return lookOn(reader);
  };
}

interface Onlooker {
  wake(): void;
}

/** Reads while somebody looks on. */
class QueueReader {
  readonly #deps: QueueWatchDeps;
  readonly #filter: QueueFilter;
  readonly #onlookers = new Set<Onlooker>();
  readonly #onEnd: () => void;
  readonly #offs: readonly (() => void)[];
  #text = '';
  #woken = false;
  #resume: (() => void) | null = null;
  /** The newest, and its number. */
  frame: { readonly number: number; readonly value: QueueFrame } | null = null;
  failure: { readonly error: unknown } | null = null;

  constructor(deps: QueueWatchDeps, projectIds: readonly string[] | null, onEnd: () => void) {
    this.#deps = deps;
    this.#filter = { projectIds };
    this.#onEnd = onEnd;
    const topics: Topic[] = [QUEUE_TOPIC, ...(projectIds ? projectIds.map(projectTopic) : [PROJECTS_TOPIC])];
    const hint = () => {
      this.#woken = true;
      this.#resume?.();
    };
    this.#offs = topics.map((topic) => deps.hub.on(topic, hint));
  }

  join(onlooker: Onlooker): void {
    this.#onlookers.add(onlooker);
    if (this.#onlookers.size === 1) void this.#run();
  }

  leave(onlooker: Onlooker): void {
    if (!this.#onlookers.delete(onlooker) || this.#onlookers.size > 0) return;
    this.#end();
  }

  #end(): void {
    for (const off of this.#offs) off();
    this.#onEnd();
    this.#resume?.();
  }

  async #run(): Promise<void> {
    try {
      while (this.#onlookers.size > 0) {
        this.#woken = false;
        const began = performance.now();
        await this.#look();
        const took = performance.now() - began;
        await this.#pause(Math.max(MIN_GAP_MS, took * REST), false);
        await this.#pause(LOOK_EVERY_MS, true);
      }
    } catch (error) {
      this.failure = { error };
      this.#end();
      for (const { wake } of this.#onlookers) wake();
    }
  }

  async #look(): Promise<void> {
    const { db, workerTimeoutSeconds } = this.#deps;
    const stats = await readQueueStats(db, { filter: this.#filter, workerTimeoutSeconds });
    const text = JSON.stringify(stats);
    if (text === this.#text) return;
    this.#text = text;
    this.frame = { number: (this.frame?.number ?? 0) + 1, value: { filter: this.#filter, stats } };
    for (const { wake } of this.#onlookers) wake();
  }

  /** Until the time is over, nobody looks on, or, `untilHint`, something has happened. */
  #pause(milliseconds: number, untilHint: boolean): Promise<void> {
    return new Promise((proceed) => {
      const done = () => {
        clearTimeout(timer);
        this.#resume = null;
        proceed();
      };
      const timer = setTimeout(done, milliseconds);
      this.#resume = () => {
        if (untilHint || this.#onlookers.size === 0) done();
      };
      if ((untilHint && this.#woken) || this.#onlookers.size === 0) done();
    });
  }
}

/** Written by hand, not as a generator: `return()` must end a `next()` that waits. */
function lookOn(reader: QueueReader): AsyncIterableIterator<QueueFrame> {
  let seen = 0;
  let done = false;
  let proceed = () => {};
  const onlooker: Onlooker = { wake: () => proceed() };
  reader.join(onlooker);
  const finish = () => {
    done = true;
    reader.leave(onlooker);
    proceed();
  };
  const next = async (): Promise<IteratorResult<QueueFrame>> => {
    while (!done) {
      if (reader.failure) {
        finish();
        throw reader.failure.error;
      }
      const { frame } = reader;
      if (frame && frame.number > seen) {
        seen = frame.number;
        return { done: false, value: frame.value };
      }
      await new Promise<void>((resolve) => {
        proceed = resolve;
      });
    }
    return { done: true, value: undefined };
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    next() {
      const result = last.then(next);
      last = result.catch(() => {});
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
