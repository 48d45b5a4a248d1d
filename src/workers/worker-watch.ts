/**
 * Follows the workers for all who subscribe in this process: one reader, which looks when it is told that something has
 * changed, and every few seconds. A follower is a set of workers to be told of, never a queue: who reads slowly gets
 * each worker as it is last.
 */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { UnavailableError } from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import { WORKERS_TOPIC } from '../events/topics.ts';
import { startLoop } from '../std/loop.ts';
import { findWorkers, type WorkerRecord } from './registry.ts';

/** Changes within this time are one. */
const QUIET_MS = 250;
const LOOK_EVERY_MS = 5_000;
const MAX_FOLLOWERS = 5_000;

export interface WorkerWatchOptions {
  readonly db: Database;
  readonly hub: EventHub;
  readonly onError: (error: unknown) => void;
}

interface Known {
  readonly worker: WorkerRecord;
  /** What its followers are told about. */
  readonly state: string;
}

interface Follower {
  readonly workerId: string | null;
  /** By id, in the order in which they are told. */
  readonly news: Map<string, WorkerRecord>;
  /** The first look that began after it came has everything. */
  knowsAll: boolean;
  wake: () => void;
  done: boolean;
}

export class WorkerWatch {
  readonly #options: WorkerWatchOptions;
  readonly #followers = new Set<Follower>();
  #known: ReadonlyMap<string, Known> = new Map();
  #stop: (() => void) | null = null;
  #wake = () => {};

  constructor(options: WorkerWatchOptions) {
    this.#options = options;
  }

  /**
   * Each worker as it is, then whenever something about it, or about what it runs, has changed. `workerId` is a UUID; null means
   * all that were heard of in the last day. It does not end by itself. Throws UnavailableError when there are too many.
   */
  follow(workerId: string | null): AsyncIterableIterator<WorkerRecord> {
    if (this.#followers.size >= MAX_FOLLOWERS) {
      throw new UnavailableError(`${MAX_FOLLOWERS} subscriptions of this process follow workers, which is the most.`);
    }
    const follower: Follower = { workerId, news: new Map(), knowsAll: false, wake: () => {}, done: false };
    this.#followers.add(follower);
    this.#start();
    this.#wake();
    return iterate(follower, () => this.#leave(follower));
  }

  get followers(): number {
    return this.#followers.size;
  }

  #leave(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    this.#stop?.();
    this.#stop = null;
    this.#known = new Map();
  }

  #start(): void {
    if (this.#stop) return;
    const { hub, onError } = this.#options;
    let lastAt = -QUIET_MS;
    let timer: NodeJS.Timeout | undefined;
    const work = async () => {
      lastAt = performance.now();
      await this.#look();
    };
    const loop = startLoop({ everyMs: LOOK_EVERY_MS, work, onError });
    this.#wake = () => {
      const wait = lastAt + QUIET_MS - performance.now();
      if (wait <= 0) return loop.wake();
      timer ??= setTimeout(() => {
        timer = undefined;
        loop.wake();
      }, wait);
    };
    const off = hub.on(WORKERS_TOPIC, () => this.#wake());
    this.#stop = () => {
      off();
      clearTimeout(timer);
      this.#wake = () => {};
      void loop.stop();
    };
  }

  async #look(): Promise<void> {
    const asked = [...this.#followers];
    const found = await this.#read();
    for (const follower of asked) {
      for (const [id, { worker, state }] of found) {
        if (follower.workerId !== null && follower.workerId !== id) continue;
        if (follower.knowsAll && this.#known.get(id)?.state === state) continue;
        follower.news.set(id, worker);
      }
      follower.knowsAll = true;
      if (follower.news.size > 0) follower.wake();
    }
    this.#known = found;
  }

  async #read(): Promise<ReadonlyMap<string, Known>> {
    const { db } = this.#options;
    const [workers, { rows: running }] = await Promise.all([
      findWorkers(db),
      sql<{ id: string; attempts: string }>`
        select worker_id as id, md5(string_agg(id::text || attempt_no || coalesce(waiting_for, ''), ' ' order by id)) as attempts
          from build_audit where status = 'RUNNING' group by worker_id`.execute(db),
    ]);
    const attempts = new Map(running.map((row) => [row.id, row.attempts]));
    return new Map(
      workers.toReversed().map((worker) => {
        // Every heartbeat would be a change, and nobody wants that.
        const { heartbeatAt: _heartbeatAt, ...told } = worker;
        return [worker.id, { worker, state: JSON.stringify([told, attempts.get(worker.id) ?? null]) }];
      }),
    );
  }
}

/** Written by hand, not as a generator: `return()` must end a `next()` that waits. */
function iterate(follower: Follower, leave: () => void): AsyncIterableIterator<WorkerRecord> {
  const finish = () => {
    follower.done = true;
    leave();
    follower.wake();
  };
  const next = async (): Promise<IteratorResult<WorkerRecord>> => {
    while (!follower.done) {
      const [first] = follower.news;
      if (first) {
        follower.news.delete(first[0]);
        return { done: false, value: first[1] };
      }
      const woken = new Promise<void>((resolve) => {
        follower.wake = resolve;
      });
      await woken;
    }
    return { done: true, value: undefined };
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    next() {
      const result = last.then(next);
      last = result;
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
