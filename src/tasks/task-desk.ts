/**
 * Where a process' workers ask for tasks and wait for them. All that ask for the same wait in one group, and one statement
 * claims for a whole group: a thousand that wait cost no more claims than one.
 */

import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import type { TasksTable } from '../database/task-tables.ts';
import { OverloadedError } from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import { QUEUE_TOPIC, TASKS_TOPIC, taskTopic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { canonicalJson } from '../std/canonical-json.ts';
import { failpoint } from '../std/failpoint.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { parseInput } from './lease.ts';
import { type ClaimedTask, ownTask } from './task.ts';
import { type ClaimTasksInput, claimTasksInput, MAX_CLAIMED } from './task-input.ts';
import { releaseTask } from './work-on-task.ts';

/** Of one process: each holds a connection of somebody. */
const MAX_WAITING = 1_000;
/** Hints can be lost, rows cannot. */
const LOOK_EVERY_MS = 2_000;
const RETRY_AFTER_SECONDS = 2;

export interface TaskDeskOptions {
  readonly db: Database;
  readonly queue: Queue;
  readonly hub: EventHub;
  readonly logger: Logger;
  readonly telemetry: Pick<Telemetry, 'queueWaits'>;
}

export interface ClaimTasks extends ClaimTasksInput {
  /** Who asks, before the worker's name: the token's name. */
  readonly claimant: string;
  /** Only tasks of these; null means all. */
  readonly projectIds: readonly string[] | null;
  /** Of a worker of Slipway, which is given nothing while it takes no work. */
  readonly workerId?: string | undefined;
  /** Nobody waits for the answer any more. */
  readonly signal?: AbortSignal | undefined;
}

interface Ask {
  readonly kinds: readonly string[];
  readonly labels: readonly string[];
  readonly projectIds: readonly string[] | null;
  readonly workerId: string | null;
}

interface Waiter {
  readonly claimedBy: string;
  readonly claimId: string | null;
  readonly max: number;
  /** It does not wait: one look, and it has its answer. */
  readonly once: boolean;
  /** False when it has its answer already. */
  readonly answer: (tasks: readonly ClaimedTask[]) => boolean;
  readonly refuse: (error: unknown) => void;
  /** It has gone without an answer, and may ask again by the same name. */
  isGone: boolean;
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
   * `waitSeconds`. With the `claimId` of an earlier claim, the tasks of that one whose leases hold. Throws InvalidInputError
   * or OverloadedError.
   */
  async claim({ claimant, projectIds, workerId, signal, ...input }: ClaimTasks): Promise<readonly ClaimedTask[]> {
    const { workerName, types, labels, waitSeconds, max, claimId } = parseInput(claimTasksInput, input);
    if (this.#closed || signal?.aborted) return [];
    if (this.#waiting >= MAX_WAITING) {
      const message = `${MAX_WAITING} claims wait in this process already. Try again, or elsewhere.`;
      throw new OverloadedError(message, RETRY_AFTER_SECONDS);
    }
    const unique = (texts: readonly string[]) => [...new Set(texts)].toSorted();
    const ask = {
      kinds: unique(types).map((type) => `task:${type}`),
      labels: unique(labels ?? []),
      projectIds: projectIds && unique(projectIds),
      workerId: workerId ?? null,
    };
    const who = { claimedBy: `${claimant}/${workerName}`, claimId: claimId ?? null };
    return this.#wait(ask, { ...who, max: max ?? 1, waitMs: (waitSeconds ?? 0) * 1_000, signal });
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
    waiting: Pick<Waiter, 'claimedBy' | 'claimId' | 'max'> & { waitMs: number; signal: AbortSignal | undefined },
  ): Promise<readonly ClaimedTask[]> {
    const { waitMs, signal, ...who } = waiting;
    const { promise, resolve, reject } = Promise.withResolvers<readonly ClaimedTask[]>();
    let answered = false;
    const answer = (tasks: readonly ClaimedTask[]) => {
      if (answered) return false;
      answered = true;
      resolve(tasks);
      return true;
    };
    const waiter: Waiter = { ...who, once: waitMs === 0, answer, refuse: reject, isGone: false };
    const key = canonicalJson(ask);
    const group = this.#groups.get(key) ?? { ask, waiters: new Set() };
    this.#groups.set(key, group);
    // Who asks again has lost the connection on which the first one waits.
    for (const earlier of group.waiters)
      if (nameOf(earlier) !== null && nameOf(earlier) === nameOf(waiter)) leave(earlier);
    group.waiters.add(waiter);
    this.#waiting += 1;
    const end = () => leave(waiter);
    signal?.addEventListener('abort', end, { once: true });
    const timer = waitMs > 0 ? setTimeout(() => answer([]), waitMs) : undefined;
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
    const { db, hub, queue, telemetry } = this.#options;
    for (const asking of portions(waiters)) {
      const { given, hasPassedOver } = await claimTasks(db, ask, asking);
      // Who waits is served again, and who does not has to ask once more.
      queue.again.claimed(`tasks ${canonicalJson(ask)}`, hasPassedOver, () => hub.announce(TASKS_TOPIC));
      for (const [waiter, tasks] of given) {
        hub.announce(...tasks.map(({ id }) => taskTopic(id)));
        for (const { type, readyAt, startedAt } of tasks) {
          const waitedMs = (startedAt?.getTime() ?? 0) - readyAt.getTime();
          telemetry.queueWaits.observe(Math.max(0, waitedMs) / 1_000, { kind: `task:${type}` });
        }
        this.#give(waiter, tasks);
      }
      if (asking.some((waiter) => lacks(waiter, given.get(waiter)?.length ?? 0))) break;
    }
    for (const waiter of waiters) if (waiter.once) waiter.answer([]);
  }

  /** Whoever has gone meanwhile needs none: they wait for others, unless he may come back for them. */
  #give(waiter: Waiter, tasks: readonly ClaimedTask[]): void {
    if (waiter.answer(tasks) || (waiter.isGone && waiter.claimId !== null)) return;
    for (const { id, leaseToken } of tasks) {
      releaseTask(this.#options, { id, leaseToken }).catch((error: unknown) => {
        this.#options.logger.warn({ err: error }, 'a task that nobody waits for any more could not be released');
      });
    }
  }
}

function leave(waiter: Waiter): void {
  waiter.isGone = true;
  waiter.answer([]);
}

/** There was nothing more for it: who has asked before is given what it was given. */
function lacks({ claimId, max }: Waiter, count: number): boolean {
  return count < (claimId === null ? max : 1);
}

/** Null for a claim without a name. */
function nameOf({ claimedBy, claimId }: Pick<Waiter, 'claimedBy' | 'claimId'>): string | null {
  return claimId === null ? null : `${claimedBy} ${claimId}`;
}

/** Those of one statement each: at most MAX_CLAIMED tasks together. */
function portions(waiters: readonly Waiter[]): Waiter[][] {
  const all: Waiter[][] = [];
  let room = 0;
  for (const waiter of waiters) {
    if (waiter.max > room) {
      all.push([]);
      room = MAX_CLAIMED;
    }
    all.at(-1)?.push(waiter);
    room -= waiter.max;
  }
  return all;
}

interface Claimed {
  readonly given: ReadonlyMap<Waiter, readonly ClaimedTask[]>;
  /** There was one more that somebody held. */
  readonly hasPassedOver: boolean;
}

/** At most as many tasks as each of them asks for, in their order. */
async function claimTasks(db: Database, ask: Ask, waiters: readonly Waiter[]): Promise<Claimed> {
  const { kinds, labels, projectIds, workerId } = ask;
  const places = waiters.flatMap((waiter) => Array.from({ length: waiter.max }, () => waiter));
  const claimants = places.map(({ claimedBy }) => claimedBy);
  const claimIds = places.some(({ claimId }) => claimId !== null) ? places.map(({ claimId }) => claimId) : null;
  const { rows } = await sql<Selectable<TasksTable>>`${sql.raw(PREPARED)}
    select * from claim_tasks(${claimants}::text[], ${kinds}::text[], ${labels}::text[], ${projectIds}::uuid[],
                              ${claimIds}::text[], ${workerId}::uuid)`.execute(db);
  if (rows.some(({ id }) => id !== null)) await failpoint('task.claimed');
  const named = new Map(waiters.map((waiter) => [nameOf(waiter), waiter]));
  const unnamed = places.filter(({ claimId }) => claimId === null).values();
  const given = new Map<Waiter, ClaimedTask[]>();
  // The last one has no id when something was passed over.
  for (const row of rows.filter(({ id }) => id !== null)) {
    if (row.lease_token === null || row.lease_until === null) throw new Error('a claimed task has a lease');
    const task = { ...ownTask(row), payload: row.payload, leaseToken: row.lease_token, leaseUntil: row.lease_until };
    const name = nameOf({ claimedBy: row.claimed_by ?? '', claimId: row.claim_id });
    const waiter = name === null ? unnamed.next().value : named.get(name);
    if (!waiter) throw new Error("a claimed task is somebody's who has asked");
    given.set(waiter, [...(given.get(waiter) ?? []), task]);
  }
  return { given, hasPassedOver: rows.at(-1)?.id === null };
}
