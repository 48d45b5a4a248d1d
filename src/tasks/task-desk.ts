/**
 * Where a process' workers ask for tasks and wait for them. All that ask for the same wait in one group, and one statement
 * claims for a whole group: a thousand that wait cost no more claims than one.
 */

import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { TasksTable } from '../database/task-tables.ts';
import { OverloadedError } from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import { QUEUE_TOPIC, TASKS_TOPIC, taskTopic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { canonicalJson } from '../std/canonical-json.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import { parseInput } from './lease.ts';
import { type ClaimedTask, ownTask } from './task.ts';
import { type ClaimTasksInput, claimTasksInput, MAX_CLAIMED } from './task-input.ts';
import { releaseTask } from './work-on-task.ts';

/** Of one process: each holds a connection of somebody. */
const MAX_WAITING = 1_000;
/** Hints can be lost, rows cannot. */
const LOOK_EVERY_MS = 2_000;

export interface TaskDeskOptions {
  readonly db: Database;
  readonly queue: Queue;
  readonly hub: EventHub;
  readonly logger: Logger;
}

export interface ClaimTasks extends ClaimTasksInput {
  /** Who asks, before the worker's name: the token's name. */
  readonly claimant: string;
  /** Only tasks of these; null means all. */
  readonly projectIds: readonly string[] | null;
  /** Nobody waits for the answer any more. */
  readonly signal?: AbortSignal | undefined;
}

interface Ask {
  readonly kinds: readonly string[];
  readonly labels: readonly string[];
  readonly projectIds: readonly string[] | null;
}

interface Waiter {
  readonly claimedBy: string;
  readonly max: number;
  /** It does not wait: one look, and it has its answer. */
  readonly once: boolean;
  /** False when it has its answer already. */
  readonly answer: (tasks: readonly ClaimedTask[]) => boolean;
  readonly refuse: (error: unknown) => void;
}

interface Group {
  readonly ask: Ask;
  readonly waiters: Set<Waiter>;
}

export class TaskDesk implements AsyncDisposable {
  readonly #options: TaskDeskOptions;
  readonly #groups = new Map<string, Group>();
  #waiting = 0;
  #loop: Loop | null = null;
  readonly #offs: (() => void)[] = [];
  #closed = false;

  constructor(options: TaskDeskOptions) {
    this.#options = options;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Tasks that are now this worker's, at once or as soon as there is one, at most `max`; none when there is none within
   * `waitSeconds`. Throws InvalidInputError or OverloadedError.
   */
  async claim({ claimant, projectIds, signal, ...input }: ClaimTasks): Promise<readonly ClaimedTask[]> {
    const { workerName, types, labels, waitSeconds, max } = parseInput(claimTasksInput, input);
    if (this.#closed || signal?.aborted) return [];
    if (this.#waiting >= MAX_WAITING) {
      throw new OverloadedError(`${MAX_WAITING} claims wait in this process already. Try again, or elsewhere.`);
    }
    const unique = (texts: readonly string[]) => [...new Set(texts)].toSorted();
    const ask = {
      kinds: unique(types).map((type) => `task:${type}`),
      labels: unique(labels ?? []),
      projectIds: projectIds && unique(projectIds),
    };
    const claimedBy = `${claimant}/${workerName}`;
    return this.#wait(ask, { claimedBy, max: max ?? 1, waitMs: (waitSeconds ?? 0) * 1_000, signal });
  }

  /** Answers all that wait with nothing; whoever comes later is answered at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const off of this.#offs) off();
    for (const { waiters } of this.#groups.values()) for (const waiter of [...waiters]) waiter.answer([]);
    await this.#loop?.stop();
  }

  async #wait(
    ask: Ask,
    waiting: Pick<Waiter, 'claimedBy' | 'max'> & { readonly waitMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<readonly ClaimedTask[]> {
    const { claimedBy, max, waitMs, signal } = waiting;
    const { promise, resolve, reject } = Promise.withResolvers<readonly ClaimedTask[]>();
    let answered = false;
    const answer = (tasks: readonly ClaimedTask[]) => {
      if (answered) return false;
      answered = true;
      resolve(tasks);
      return true;
    };
    const waiter: Waiter = { claimedBy, max, once: waitMs === 0, answer, refuse: reject };
    const key = canonicalJson(ask);
    const group = this.#groups.get(key) ?? { ask, waiters: new Set() };
    this.#groups.set(key, group);
    group.waiters.add(waiter);
    this.#waiting += 1;
    const end = () => void answer([]);
    signal?.addEventListener('abort', end, { once: true });
    const timer = waitMs > 0 ? setTimeout(end, waitMs) : undefined;
    try {
      this.#open().wake();
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      group.waiters.delete(waiter);
      this.#waiting -= 1;
      if (group.waiters.size === 0 && this.#groups.get(key) === group) this.#groups.delete(key);
    }
  }

  #open(): Loop {
    if (this.#loop) return this.#loop;
    const { hub, logger } = this.#options;
    const loop = startLoop({
      everyMs: LOOK_EVERY_MS,
      work: () => this.#round(),
      onError: (error) => logger.warn({ err: error }, 'tasks could not be claimed'),
    });
    this.#loop = loop;
    for (const topic of [TASKS_TOPIC, QUEUE_TOPIC])
      this.#offs.push(hub.on(topic, () => this.#waiting > 0 && loop.wake()));
    return loop;
  }

  async #round(): Promise<void> {
    for (const group of [...this.#groups.values()]) {
      const waiters = [...group.waiters];
      try {
        await this.#serve(group.ask, waiters);
      } catch (error) {
        for (const waiter of waiters) waiter.refuse(error);
      }
    }
  }

  /** Claims for these, in their order, until there is nothing more. */
  async #serve(ask: Ask, waiters: readonly Waiter[]): Promise<void> {
    const places = waiters.flatMap((waiter) => Array.from({ length: waiter.max }, () => waiter));
    for (let from = 0; from < places.length; from += MAX_CLAIMED) {
      const asking = places.slice(from, from + MAX_CLAIMED);
      const tasks = await claimTasks(
        this.#options.db,
        ask,
        asking.map(({ claimedBy }) => claimedBy),
      );
      if (tasks.length > 0) this.#options.hub.announce(...tasks.map(({ id }) => taskTopic(id)));
      const given = Map.groupBy(tasks.entries(), ([index]) => asking[index]);
      for (const [waiter, entries] of given)
        this.#give(
          waiter,
          entries.map(([, task]) => task),
        );
      if (tasks.length < asking.length) break;
    }
    for (const waiter of waiters) if (waiter.once) waiter.answer([]);
  }

  /** Whoever has gone meanwhile needs none: they wait for others. */
  #give(waiter: Waiter | undefined, tasks: readonly ClaimedTask[]): void {
    if (waiter?.answer(tasks)) return;
    for (const { id, leaseToken } of tasks) {
      releaseTask(this.#options, { id, leaseToken }).catch((error: unknown) => {
        this.#options.logger.warn({ err: error }, 'a task that nobody waits for any more could not be released');
      });
    }
  }
}

/** One task at most for each claimant, in their order. */
async function claimTasks(db: Database, ask: Ask, claimants: readonly string[]): Promise<ClaimedTask[]> {
  const { rows } = await sql<Selectable<TasksTable>>`
    select * from claim_tasks(${claimants}::text[], ${ask.kinds}::text[], ${ask.labels}::text[], ${ask.projectIds}::uuid[])`.execute(
    db,
  );
  return rows.map((row) => {
    if (row.lease_token === null || row.lease_until === null) throw new Error('a claimed task has a lease');
    return { ...ownTask(row), payload: row.payload, leaseToken: row.lease_token, leaseUntil: row.lease_until };
  });
}
