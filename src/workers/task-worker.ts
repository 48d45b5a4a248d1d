/** Claims tasks of the types that workers beside the database run, beside the builds of the same worker. */
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { Interrupt } from '../builds/running-build.ts';
import type { Database } from '../database/database.ts';
import { isTransient } from '../database/transient.ts';
import { LeaseLostError, NotFoundError, SupersededError } from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import { QUEUE_TOPIC, TASKS_TOPIC, taskTopic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import { toPublicId } from '../std/public-id.ts';
import type { Turns } from '../std/turns.ts';
import { leaveNothing, runTask } from '../task-runs/run-task.ts';
import { RUN_TASK_TYPES, type RunTaskDeps, type RunTaskType, type TaskEnd } from '../task-runs/task-run.ts';
import type { ClaimedTask } from '../tasks/task.ts';
import type { TaskDesk } from '../tasks/task-desk.ts';
import { MAX_CLAIMED } from '../tasks/task-input.ts';
import { completeTask, failTask, heartbeatTask, releaseTask } from '../tasks/work-on-task.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

/** A task that is ready is found this late at most, when every hint was lost. */
const LOOK_EVERY_MS = 2_000;
const SAY_AGAIN_MS = 500;
/** Heartbeats in the time of a lease. */
const BEATS = 4;
/** Without an answer for this part of a lease, what runs is ended while it is surely still ours. */
const CUT_OFF_AFTER = 2 / 3;
const MAX_REASON = 4_000;

export interface TaskWorkerDeps extends RunTaskDeps {
  readonly controlDb: Database;
  readonly queue: Queue;
  readonly hub: EventHub;
  readonly desk: Pick<TaskDesk, 'claim'>;
  readonly telemetry: Pick<Telemetry, 'systemError'>;
}

export interface TaskWorkerOptions {
  /** Of the worker that it belongs to. */
  readonly id: string;
  readonly name: string;
  readonly labels: () => readonly string[];
  /** How many more may begin now, tasks of this worker not counted; 0 while nothing may. */
  readonly places: () => Promise<number>;
  /** At the same time. */
  readonly maxTasks: number;
  /** What builds and tasks are claimed in, one after the other: both fill the same places. */
  readonly turns: Turns;
  /** A task has ended. */
  readonly onFree: () => void;
}

interface RunningTask {
  readonly task: ClaimedTask;
  readonly interrupt: AbortController;
  readonly ended: Promise<void>;
}

export class TaskWorker implements AsyncDisposable {
  readonly #deps: TaskWorkerDeps;
  readonly #options: TaskWorkerOptions;
  readonly #running = new Map<string, RunningTask>();
  readonly #offs: (() => void)[] = [];
  #claims: Loop | null = null;
  #draining = false;

  constructor(deps: TaskWorkerDeps, options: TaskWorkerOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Tasks that run now. */
  get running(): number {
    return this.#running.size;
  }

  open(): void {
    if (this.#options.maxTasks === 0) return;
    const { hub, logger, telemetry } = this.#deps;
    const claims = startLoop({
      everyMs: LOOK_EVERY_MS,
      work: () => this.#claim(),
      onError: (error) => {
        telemetry.systemError('worker');
        logger.warn({ error: isTransient(error) ? String(error) : error, loop: 'tasks' }, 'will try again');
      },
    });
    this.#claims = claims;
    for (const topic of [TASKS_TOPIC, QUEUE_TOPIC]) this.#offs.push(hub.on(topic, claims.wake));
    claims.wake();
  }

  /** There may be room. */
  wake(): void {
    this.#claims?.wake();
  }

  /** Takes no more tasks. */
  async stopClaiming(): Promise<void> {
    this.#draining = true;
    await this.#claims?.stop();
  }

  /** Resolves when all that run now have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#running.values()].map((running) => running.ended));
  }

  /** Ends what runs and gives it back. */
  release(): void {
    for (const { interrupt } of this.#running.values()) interrupt.abort(new Interrupt('released'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopClaiming();
    this.release();
    for (const off of this.#offs.splice(0)) off();
    await this.ended();
  }

  async #claim(): Promise<void> {
    let more = true;
    while (more && !this.#draining) more = await this.#options.turns.take(() => this.#claimOnce());
  }

  /** May there be more to claim, and is there room? */
  async #claimOnce(): Promise<boolean> {
    const places = await this.#options.places();
    const max = Math.min(places, this.#options.maxTasks) - this.#running.size;
    if (max <= 0 || !(await this.#anyWaits())) return false;
    const claimed = await this.#deps.desk.claim({
      claimant: 'worker',
      workerName: this.#options.name,
      workerId: this.#options.id,
      types: [...RUN_TASK_TYPES],
      labels: [...this.#options.labels()],
      projectIds: null,
      max: Math.min(max, MAX_CLAIMED),
    });
    for (const task of claimed) this.#start(task);
    return claimed.length === max;
  }

  /** Asked before, because a claim takes turns with those of all workers. */
  async #anyWaits(): Promise<boolean> {
    const row = await this.#deps.db
      .selectFrom('tasks')
      .select('id')
      .where('status', '=', 'PENDING')
      .where('type', 'in', RUN_TASK_TYPES)
      .where('ready_at', '<=', sql<Date>`now()`)
      .limit(1)
      .executeTakeFirst();
    return row !== undefined;
  }

  #start(task: ClaimedTask): void {
    const interrupt = new AbortController();
    // One that was lost and came back: what its earlier attempt here runs goes first.
    const earlier = [...this.#running.values()].filter((running) => running.task.id === task.id);
    for (const running of earlier) running.interrupt.abort(new Interrupt('superseded'));
    const ended = Promise.all(earlier.map((running) => running.ended))
      .then(() => this.#run(task, interrupt))
      .catch((error: unknown) => {
        this.#deps.telemetry.systemError('worker');
        this.#deps.logger.error({ error, task: toPublicId('task', task.id) }, 'an attempt at a task was given up');
      })
      .finally(() => {
        this.#running.delete(task.leaseToken);
        this.#options.onFree();
        this.#claims?.wake();
      });
    this.#running.set(task.leaseToken, { task, interrupt, ended });
  }

  async #run(task: ClaimedTask, interrupt: AbortController): Promise<void> {
    const { signal } = interrupt;
    const toRun = { ...task, type: task.type as RunTaskType };
    const beats = this.#beat(task, interrupt);
    const off = this.#deps.hub.on(taskTopic(task.id), beats.wake);
    // An attempt that takes over is nobody's until it is told.
    beats.wake();
    try {
      const end = await runTask(this.#deps, toRun, signal);
      await this.#report(task, end);
    } catch (error) {
      if (error instanceof SupersededError) return;
      const reason = signal.reason instanceof Interrupt ? signal.reason.reason : null;
      // Whoever has the task now may work in this very place.
      if (reason === 'superseded') return;
      await leaveNothing(this.#deps, toRun);
      if (reason === null) throw error;
      // Where somebody has asked to cancel it, this ends it.
      await this.#say(task, () => releaseTask(this.#deps, key(task)));
    } finally {
      off();
      await beats.stop();
    }
  }

  /** Keeps the lease, and ends what runs when it cannot be kept or somebody wants that. */
  #beat(task: ClaimedTask, interrupt: AbortController): Loop {
    const leaseMs = task.leaseSeconds * 1_000;
    const control = { ...this.#deps, db: this.#deps.controlDb };
    let heldSince = performance.now();
    const beat = async () => {
      const sentAt = performance.now();
      const { cancelRequested } = await heartbeatTask(control, key(task));
      heldSince = sentAt;
      void this.#deps.runtime.renew(task.id).catch(() => {});
      if (cancelRequested) interrupt.abort(new Interrupt('cancelled'));
    };
    return startLoop({
      everyMs: leaseMs / BEATS,
      retryMs: Math.min(SAY_AGAIN_MS, leaseMs / BEATS),
      work: beat,
      onError: (error) => {
        if (error instanceof LeaseLostError || error instanceof NotFoundError) {
          interrupt.abort(new Interrupt('superseded'));
        } else if (performance.now() - heldSince > leaseMs * CUT_OFF_AFTER) interrupt.abort(new Interrupt('cut_off'));
      },
    });
  }

  async #report(task: ClaimedTask, end: TaskEnd): Promise<void> {
    const { logger } = this.#deps;
    const fields = { task: toPublicId('task', task.id), type: task.type, attempt: task.attemptNo };
    if (end.status === 'COMPLETED') {
      await this.#say(task, () => completeTask(this.#deps, { ...key(task), result: end.result }));
      logger.info(fields, 'the task is completed');
      return;
    }
    const { message, retryable, result } = end;
    const reason = `${end.reason}: ${message}`.slice(0, MAX_REASON).toWellFormed().replaceAll('\0', '');
    await this.#say(task, () => failTask(this.#deps, { ...key(task), reason, retryable, result }));
    logger.info({ ...fields, reason: end.reason }, 'the attempt at the task has failed');
  }

  /** Again and again while the database does not answer, until the lease is over: then another attempt says it. */
  async #say(task: ClaimedTask, say: () => Promise<unknown>): Promise<void> {
    const until = performance.now() + task.leaseSeconds * 1_000;
    for (;;) {
      try {
        await say();
        return;
      } catch (error) {
        if (error instanceof LeaseLostError || error instanceof NotFoundError) return;
        if (!isTransient(error) || performance.now() > until) throw error;
        await delay(SAY_AGAIN_MS);
      }
    }
  }
}

function key({ id, leaseToken }: ClaimedTask) {
  return { id, leaseToken };
}
