/** Claims tasks of the types that Slipway's workers run, beside the builds of the same worker. */
import { setTimeout as delay } from 'node:timers/promises';
import { HEARTBEAT_EVERY_MS } from '../builds/lease.ts';
import { Interrupt } from '../builds/running-build.ts';
import type { Config } from '../config/config.ts';
import { isTransient } from '../database/transient.ts';
import { ServerSilentError, SupersededError } from '../errors.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import { toPublicId } from '../std/public-id.ts';
import type { Turns } from '../std/turns.ts';
import { leaveNothing, runTask } from '../task-runs/run-task.ts';
import type { TaskEnd } from '../task-runs/task-run.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { LeasedTask, TaskCoordinator, TaskLease } from './task-coordinator.ts';

/** A task that is ready is found this late at most, when every hint was lost. */
const LOOK_EVERY_MS = 2_000;
const SAY_AGAIN_MS = 500;
/** Heartbeats in the time of a lease. */
const BEATS = 4;
/** Without an answer for this part of a lease, what runs is ended while it is surely still ours. */
const CUT_OFF_AFTER = 2 / 3;
const MAX_REASON = 4_000;
/** Attempts that were given up and whose leases may still hold. */
const MAX_GIVEN_UP = 100;

export interface TaskWorkerDeps {
  readonly config: Config;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly telemetry: Pick<Telemetry, 'systemError'>;
  readonly coordinator: TaskCoordinator;
}

export interface TaskWorkerOptions {
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
  readonly task: LeasedTask;
  readonly interrupt: AbortController;
  readonly ended: Promise<void>;
}

export class TaskWorker implements AsyncDisposable {
  readonly #deps: TaskWorkerDeps;
  readonly #options: TaskWorkerOptions;
  readonly #running = new Map<string, RunningTask>();
  /** Something of them may be alive: their leases end by themselves. */
  readonly #givenUp: TaskLease[] = [];
  readonly #offs: (() => void)[] = [];
  #claims: Loop | null = null;
  #draining = false;
  /** The last look has not found all that waits. */
  #wants = true;

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
    const { coordinator, logger, telemetry } = this.#deps;
    const claims = startLoop({
      everyMs: LOOK_EVERY_MS,
      work: () => this.#claim(),
      onError: (error) => {
        telemetry.systemError('worker');
        logger.warn({ error: isSilent(error) ? String(error) : error, loop: 'tasks' }, 'will try again');
      },
    });
    this.#claims = claims;
    this.#offs.push(coordinator.onWork(claims.wake));
    claims.wake();
  }

  /** There may be room: what waits and was not taken for want of it may be taken now; all else is announced. */
  offerPlace(): void {
    if (this.#wants) this.#claims?.wake();
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
    this.#wants = true;
    const places = await this.#options.places();
    const max = Math.min(places, this.#options.maxTasks) - this.#running.size;
    if (max <= 0) return false;
    const held = [...[...this.#running.values()].map(({ task }) => leaseOf(task)), ...this.#givenUp];
    const claimed = await this.#deps.coordinator.claim({ labels: this.#options.labels(), max, held });
    for (const task of claimed) this.#start(task);
    this.#wants = claimed.length === max;
    return this.#wants;
  }

  #start(task: LeasedTask): void {
    const interrupt = new AbortController();
    // One that was lost and came back: what its earlier attempt here runs goes first.
    const earlier = [...this.#running.values()].filter((running) => running.task.id === task.id);
    for (const running of earlier) running.interrupt.abort(new Interrupt('superseded'));
    const ended = Promise.all(earlier.map((running) => running.ended))
      .then(() => this.#run(task, interrupt))
      .catch((error: unknown) => {
        this.#givenUp.push(leaseOf(task));
        if (this.#givenUp.length > MAX_GIVEN_UP) this.#givenUp.shift();
        this.#deps.telemetry.systemError('worker');
        this.#deps.logger.error({ error, task: toPublicId('task', task.id) }, 'an attempt at a task was given up');
      })
      .finally(() => {
        this.#running.delete(task.leaseToken);
        this.#options.onFree();
        this.offerPlace();
      });
    this.#running.set(task.leaseToken, { task, interrupt, ended });
  }

  async #run(task: LeasedTask, interrupt: AbortController): Promise<void> {
    const { coordinator, config, runtime, logger } = this.#deps;
    const { signal } = interrupt;
    const beats = this.#beat(task, interrupt);
    const off = coordinator.onTold(task, beats.wake);
    // An attempt that takes over is nobody's until it is told.
    beats.wake();
    const facts = {
      project: () => coordinator.project(task, signal),
      secrets: () => coordinator.secrets(task, signal),
    };
    try {
      const end = await runTask({ config, runtime, logger, facts }, task, signal);
      await this.#report(task, end);
    } catch (error) {
      if (error instanceof SupersededError) return;
      const reason = signal.reason instanceof Interrupt ? signal.reason.reason : null;
      // Whoever has the task now may work in this very place.
      if (reason === 'superseded') return;
      await leaveNothing(this.#deps, task);
      if (reason === null) throw error;
      // Where somebody has asked to cancel it, this ends it.
      await this.#say(task, () => coordinator.release(task));
    } finally {
      off();
      await beats.stop();
    }
  }

  /** Keeps the lease, and ends what runs when it cannot be kept or somebody wants that. */
  #beat(task: LeasedTask, interrupt: AbortController): Loop {
    const leaseMs = task.leaseSeconds * 1_000;
    let heldSince = performance.now();
    const isCutOff = () => performance.now() - heldSince > leaseMs * CUT_OFF_AFTER;
    const beat = async () => {
      const sentAt = performance.now();
      const { letGo } = await this.#deps.coordinator.heartbeat(task);
      heldSince = sentAt;
      if (letGo) interrupt.abort(new Interrupt('cancelled'));
    };
    const beats = startLoop({
      everyMs: leaseMs / BEATS,
      retryMs: Math.min(SAY_AGAIN_MS, leaseMs / BEATS),
      work: beat,
      onError: (error) => {
        if (error instanceof SupersededError) interrupt.abort(new Interrupt('superseded'));
        else if (isCutOff()) interrupt.abort(new Interrupt('cut_off'));
      },
    });
    // A lease may be longer than what runs goes on without being told that somebody looks after it.
    const renewals = startLoop({
      everyMs: HEARTBEAT_EVERY_MS,
      work: async () => isCutOff() || this.#deps.runtime.renew(task.id),
      onError: () => {},
    });
    return {
      wake() {
        beats.wake();
        renewals.wake();
      },
      async stop() {
        // What is renewed may not answer.
        void renewals.stop();
        await beats.stop();
      },
    };
  }

  async #report(task: LeasedTask, end: TaskEnd): Promise<void> {
    const { coordinator, logger } = this.#deps;
    const fields = { task: toPublicId('task', task.id), type: task.type, attempt: task.attemptNo };
    if (end.status === 'COMPLETED') {
      await this.#say(task, () => coordinator.complete(task, end.result));
      logger.info(fields, 'the task is completed');
      return;
    }
    const { message, retryable, result } = end;
    const reason = `${end.reason}: ${message}`.slice(0, MAX_REASON).toWellFormed().replaceAll('\0', '');
    await this.#say(task, () => coordinator.fail(task, { reason, retryable, result }));
    logger.info({ ...fields, reason: end.reason }, 'the attempt at the task has failed');
  }

  /** Again and again while nobody answers, until the lease is over: then another attempt says it. */
  async #say(task: LeasedTask, say: () => Promise<void>): Promise<void> {
    const until = performance.now() + task.leaseSeconds * 1_000;
    for (;;) {
      try {
        await say();
        return;
      } catch (error) {
        if (error instanceof SupersededError) return;
        if (!isSilent(error) || performance.now() > until) throw error;
        await delay(SAY_AGAIN_MS);
      }
    }
  }
}

function leaseOf({ id, leaseToken }: TaskLease): TaskLease {
  return { id, leaseToken };
}

/** The database, or the server that speaks for it. */
function isSilent(error: unknown): boolean {
  return isTransient(error) || error instanceof ServerSilentError;
}
