/** Claims builds, runs them, tells the others that it lives, rescues what the dead left, and drains. */
import { hostname } from 'node:os';
import { v7 } from 'uuid';
import { DriftCounter } from '../agents/drift.ts';
import type { ClaimedBuild } from '../builds/build.ts';
import type { AttemptKey } from '../builds/claim-builds.ts';
import { Doorbell } from '../builds/doorbell.ts';
import { HEARTBEAT_EVERY_MS, RESCUE_EVERY_MS } from '../builds/lease.ts';
import { runBuild } from '../builds/run-build.ts';
import { Interrupt, type InterruptReason, type RunBuildDeps } from '../builds/running-build.ts';
import { traceAttempt } from '../builds/trace-attempt.ts';
import { isTransient } from '../database/transient.ts';
import { ServerSilentError, SupersededError } from '../errors.ts';
import { Deadline } from '../std/deadline.ts';
import { failpoint } from '../std/failpoint.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import { toPublicId } from '../std/public-id.ts';
import { VERSION } from '../std/version.ts';
import { Claims } from './claims.ts';
import type { Coordinator } from './coordinator.ts';
import type { DrainMode } from './drain-mode.ts';
import { readHardware } from './hardware.ts';
import { HeartbeatClock } from './heartbeat-clock.ts';
import { keepWorkspaces } from './janitor.ts';
import { type Dismissal, Orders } from './orders.ts';
import { PostgresCoordinator, type PostgresCoordinatorDeps } from './postgres-coordinator.ts';
import { type AgentReport, probeAgents } from './probe-agents.ts';
import { Readiness } from './readiness.ts';
import { TaskWorker } from './task-worker.ts';

/** A ready build is found this late at most, when every hint was lost. */
const LOOK_EVERY_MS = 2_000;
const CLEAN_EVERY_MS = 60_000;
/** An agent that was installed, updated or removed is known this late. */
const PROBE_EVERY_MS = 5 * 60_000;
const RECORD_DRIFT_EVERY_MS = 60_000;
/** A heartbeat that failed is repeated this soon; and so often the worker looks whether it is cut off. */
const BEAT_AGAIN_MS = 1_000;
/** New builds are asked about this soon, all together. */
const BEAT_SOON_MS = 250;
const LEAVE_AFTER_MS = 30_000;
const MAX_GIVEN_BACK = 5;

type OwnDeps = Omit<RunBuildDeps, 'holdsLeases' | 'drift' | 'openLedger'>;

/** Beside the database; or somewhere else, with whoever speaks for it. */
export type WorkerDeps = OwnDeps &
  (PostgresCoordinatorDeps | { readonly openCoordinator: (worker: Worker) => Coordinator });

export interface WorkerOptions {
  readonly name: string | undefined;
  /** Builds and tasks at the same time. */
  readonly capacity: number;
  /** What its operator says that it is good for. */
  readonly labels?: readonly string[];
  /** How many of them may be tasks; by default all. */
  readonly tasks?: number | undefined;
  /** What it cannot let go of at its end is left as it is after this; half a minute when absent. */
  readonly leaveMs?: number;
}

interface Attempt {
  readonly build: ClaimedBuild;
  readonly bell: Doorbell;
  readonly interrupt: AbortController;
  readonly ended: Promise<void>;
  /** Its build has ended, and its place may be another's: it is only cleaned up. */
  hasLeft: boolean;
}

export class Worker implements AsyncDisposable {
  readonly id = v7();
  readonly name: string;
  readonly #deps: RunBuildDeps;
  readonly #coordinator: Coordinator;
  readonly #capacity: number;
  readonly #maxTasks: number;
  readonly #labels: readonly string[];
  readonly #leaveMs: number;
  readonly #orders: Orders;
  readonly #tasks: TaskWorker;
  readonly #readiness: Readiness;
  readonly #places: Claims;
  readonly #attempts = new Map<string, Attempt>();
  readonly #loops: Loop[] = [];
  readonly #offs: (() => void)[] = [];
  #claims: Loop | null = null;
  #draining: Promise<void> | null = null;
  #drainMode: DrainMode = 'put back';
  readonly #grace = new Deadline();
  readonly #patience = new Deadline();
  #clock = new HeartbeatClock();
  #unknownBefore: ReadonlySet<string> = new Set();
  #agents: readonly AgentReport[] = [];
  readonly #drift = new DriftCounter();
  /** Builds whose runs are being told that somebody looks after them. */
  readonly #renewing = new Set<string>();
  /** Attempts whose agents go on without this worker. */
  readonly #left: AttemptKey[] = [];

  constructor(deps: WorkerDeps, options: WorkerOptions) {
    this.name = options.name ?? hostname();
    this.#capacity = options.capacity;
    this.#maxTasks = options.tasks ?? options.capacity;
    this.#labels = options.labels ?? [];
    this.#leaveMs = options.leaveMs ?? LEAVE_AFTER_MS;
    this.#coordinator =
      'openCoordinator' in deps
        ? deps.openCoordinator(this)
        : new PostgresCoordinator(deps, { id: this.id, name: this.name, place: deps.runtime.place });
    this.#deps = {
      ...deps,
      drift: this.#drift,
      holdsLeases: () => this.#clock.holdsLeases,
      openLedger: (build) => this.#coordinator.openLedger(build),
    };
    this.#readiness = new Readiness(this.#deps);
    this.#orders = new Orders({
      read: () => this.#coordinator.readStanding(),
      drain: (graceMs, mode) => this.drain(graceMs, mode),
      letGo: () => {
        for (const { interrupt } of this.#attempts.values()) interrupt.abort(new Interrupt('superseded'));
        this.#tasks.release();
      },
    });
    this.#places = new Claims({
      coordinator: this.#coordinator,
      readiness: this.#readiness,
      orders: this.#orders,
      free: (ending) => this.#free(ending),
      leave: (attempts) => {
        for (const attempt of attempts.map((key) => this.#find(key))) if (attempt) attempt.hasLeft = true;
      },
      endsHere: (attempt) => !this.#deps.runtime.closeEnds && this.#find(attempt) !== undefined,
      runningTasks: () => this.#tasks.running,
      start: (build) => this.#start(build),
    });
    const taskDeps = { ...this.#deps, coordinator: this.#coordinator.tasks };
    this.#tasks = new TaskWorker(taskDeps, {
      labels: () => this.#places.labels,
      places: () => this.#places.places(),
      maxTasks: this.#maxTasks,
      turns: this.#places.turns,
      onFree: () => this.#offerPlace(),
    });
  }

  /** Resolves when an administrator has ended it, and it runs nothing any more: it is to be closed then. */
  get dismissed(): Promise<Dismissal> {
    return this.#orders.dismissed;
  }

  /** Whoever hands out builds has answered lately. */
  get isAnswered(): boolean {
    return this.#clock.isAnswered;
  }

  get running(): number {
    return this.#attempts.size;
  }

  /** Registers and starts to work. */
  async open(): Promise<void> {
    const { runtime, agents, logger, telemetry } = this.#deps;
    this.#agents = await probeAgents(agents);
    const places = (await this.#readiness.isReady()) ? this.#capacity : 0;
    const self = {
      id: this.id,
      name: this.name,
      place: runtime.place,
      version: VERSION,
      capacity: this.#capacity,
      tasks: this.#maxTasks,
      agents: this.#agents,
      runtime: runtime.name,
      labels: this.#labels,
      hardware: readHardware(),
    };
    const { leaseSeconds, inherited } = await this.#coordinator.register(self, places);
    this.#clock = new HeartbeatClock(leaseSeconds);
    const loop = (name: string, everyMs: number, work: (ends: AbortSignal) => Promise<unknown>, retryMs = everyMs) => {
      const started = startLoop({
        everyMs,
        retryMs,
        work,
        onError: (error) => {
          telemetry.systemError('worker');
          const isUsual = isTransient(error) || error instanceof ServerSilentError;
          logger.warn({ error: isUsual ? String(error) : error, loop: name }, 'will try again');
        },
      });
      this.#loops.push(started);
      return started;
    };
    const claim = loop('claim', LOOK_EVERY_MS, () => this.#places.claim());
    this.#claims = claim;
    const beat = loop('heartbeat', HEARTBEAT_EVERY_MS, () => this.#beat(), BEAT_AGAIN_MS);
    loop('cut off', BEAT_AGAIN_MS, async () => this.#endWhatIsCutOff());
    const { duties } = this.#coordinator;
    if (duties) {
      loop('rescue', RESCUE_EVERY_MS, async (ends) => this.#clock.mayJudgeOthers && duties.rescue(ends));
      loop('clean', CLEAN_EVERY_MS, (ends) => duties.keepHouse(ends));
    }
    const coordinator = this.#coordinator;
    loop('workspaces', runtime.tendEveryMs, (ends) => keepWorkspaces({ runtime, logger, coordinator, ends }));
    loop('probe', PROBE_EVERY_MS, () => this.#probe());
    loop('drift', RECORD_DRIFT_EVERY_MS, () => this.#recordDrift());
    this.#offs.push(coordinator.onWork(claim.wake), coordinator.onOrders(beat.wake));
    this.#offs.push(coordinator.onCommit((ending) => this.#places.keep(ending)));
    this.#wakeBeat = beat.wake;
    for (const build of inherited) this.#start(build);
    claim.wake();
    this.#tasks.open();
    const providers = this.#agents.filter(({ available }) => available).map(({ name }) => name);
    logger.info({ worker: this.name, capacity: this.#capacity, providers }, 'working');
  }

  /**
   * Takes no more builds; lets those that run go on for `graceMs`, then lets go of them. With `put back` none of their
   * processes is alive when this resolves. A second call with a shorter time shortens the first.
   */
  async drain(graceMs: number, mode: DrainMode = 'put back'): Promise<void> {
    this.#draining ??= this.#coordinator.markDraining().catch(() => {});
    await failpoint('drain.begin');
    // A claim that is on its way still starts its builds: they are waited for like the others.
    await Promise.all([this.#draining, this.#claims?.stop(), this.#tasks.stopClaiming()]);
    await this.#places.settled();
    const ended = () =>
      Promise.all([this.#tasks.ended(), ...[...this.#attempts.values()].map((attempt) => attempt.ended)]);
    if (this.#grace.within(graceMs)) this.#drainMode = mode;
    await Promise.race([ended(), this.#grace.over]);
    const reason = this.#drainMode === 'leave' ? 'left' : 'released';
    for (const attempt of this.#attempts.values()) attempt.interrupt.abort(new Interrupt(reason));
    // Nobody re-attaches to a task.
    this.#tasks.release();
    // What is being pushed is not let go of; and what takes longer than this is left to the next worker as it is.
    this.#patience.within(this.#leaveMs);
    await Promise.race([ended(), this.#patience.over]);
    for (const deadline of [this.#grace, this.#patience]) deadline[Symbol.dispose]();
    await failpoint('drain.ended');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
    await this.#tasks[Symbol.asyncDispose]();
    for (const off of this.#offs.splice(0)) off();
    if (this.#beatSoon) clearTimeout(this.#beatSoon);
    await Promise.all(this.#loops.splice(0).map((loop) => loop.stop()));
    await this.#recordDrift().catch(() => {});
    // Who comes next on this machine looks for builds of workers that are dead and have not said so.
    if (this.#left.length > 0) await this.#renewLeft().catch(() => {});
    else await this.#coordinator.markStopped().catch(() => {});
  }

  /** What has ended has left its place, but there is no more of that than there are places. */
  #free(ending: number): number {
    if (this.#draining) return 0;
    let live = 0;
    for (const { hasLeft } of this.#attempts.values()) if (!hasLeft) live += 1;
    return Math.min(this.#capacity - live + ending, 2 * this.#capacity - this.#attempts.size);
  }

  #find({ buildId, attemptNo }: AttemptKey): Attempt | undefined {
    return this.#attempts.get(keyOf({ id: buildId, attemptNo }));
  }

  #wakeBeat = () => {};
  #beatSoon: NodeJS.Timeout | null = null;

  #start(build: ClaimedBuild): void {
    const key = keyOf(build);
    // A worker can lose a build and be given it again: its own earlier attempt lets go first.
    const earlier = [...this.#attempts.values()].filter((attempt) => attempt.build.id === build.id);
    for (const attempt of earlier) attempt.interrupt.abort(new Interrupt('superseded'));
    const interrupt = new AbortController();
    const bell = new Doorbell(build.talkNo);
    const off = this.#coordinator.onTold(build.id, () => this.#wakeBeat());
    const ended = Promise.all(earlier.map((attempt) => attempt.ended))
      .then(() =>
        traceAttempt(this.#deps, build, () => runBuild(this.#deps, build, { interrupt: interrupt.signal, bell })),
      )
      .then(async (end) => {
        if (end === 'left') this.#left.push({ buildId: build.id, attemptNo: build.attemptNo });
        if (end === 'superseded' && (await this.#coordinator.isElsewhere(build.id))) {
          await this.#deps.runtime.sweep(build.id, build.attemptNo);
        }
      })
      .catch((error: unknown) => {
        // Also while it was given up.
        if (error instanceof SupersededError) return;
        this.#deps.telemetry.systemError('builds');
        const fields = { error, build: toPublicId('build', build.id), attempt: build.attemptNo };
        this.#deps.logger.error(fields, 'an attempt was given up');
      })
      .finally(() => {
        off();
        this.#attempts.delete(key);
        this.#offerPlace();
        this.#tasks.offerPlace();
      });
    this.#attempts.set(key, { build, bell, interrupt, ended, hasLeft: false });
    // Before an agent that it may have taken over takes itself for nobody's.
    if (build.attemptNo > 1) this.#wakeBeat();
    else this.#beatSoon ??= setTimeout(() => this.#beatOfNew(), BEAT_SOON_MS).unref();
  }

  /** Whoever has asked for something between the claim and its answer was not heard. */
  #beatOfNew(): void {
    this.#beatSoon = null;
    if (this.#attempts.size > 0) this.#wakeBeat();
  }

  /** What waits and was not taken for want of a place may be taken now; all else is announced. */
  #offerPlace(): void {
    if (this.#places.wants) this.#claims?.wake();
  }

  async #beat(): Promise<void> {
    await failpoint('heartbeat.begin');
    const attempts = [...this.#attempts.values()];
    const sent = attempts.map(({ build }) => ({ buildId: build.id, attemptNo: build.attemptNo }));
    const sentAt = performance.now();
    const { owned, unknown } = await this.#coordinator.heartbeat([...sent, ...this.#left]).catch((error) => {
      this.#clock.failed(error);
      // They are still ours, and where a lease is long their agents would take themselves for nobody's before it ends.
      if (!this.#clock.isCutOff) for (const { buildId } of sent) this.#renew(buildId);
      throw error;
    });
    await failpoint('heartbeat.answered');
    this.#clock.answered(sentAt);
    for (const buildId of owned.keys()) this.#renew(buildId);
    for (const { build, bell, interrupt } of attempts) {
      const state = owned.get(build.id);
      if (state) bell.ring(state.talkNo);
      const reason: InterruptReason | null = state ? (state.cancelRequested ? 'cancelled' : null) : 'superseded';
      // An attempt that has just ended is not owned either, and is no longer there to be interrupted.
      if (reason && this.#attempts.has(keyOf(build))) interrupt.abort(new Interrupt(reason));
    }
    await this.#giveBackUnknown(
      unknown.map((attempt) => ({ ...attempt, key: `${attempt.buildId}:${attempt.attemptNo}` })),
    );
    await this.#orders.heed();
  }

  /** Beside the heartbeats: a pod that does not answer must not cost the leases of all. */
  #renew(buildId: string): void {
    if (this.#renewing.has(buildId)) return;
    this.#renewing.add(buildId);
    const done = () => this.#renewing.delete(buildId);
    void this.#deps.runtime.renew(buildId).then(done, done);
  }

  /** While they are surely ours: after a pause they may be another worker's, also on this machine. */
  #endWhatIsCutOff(): void {
    if (!this.#clock.isCutOff || !this.#clock.holdsLeases) return;
    const attempts = [...this.#attempts.values()].filter(({ interrupt }) => !interrupt.signal.aborted);
    for (const { interrupt } of attempts) interrupt.abort(new Interrupt('cut_off'));
    if (attempts.length > 0)
      this.#deps.logger.warn({ builds: attempts.length }, 'who hands out builds is lost; agents end');
  }

  /** So that who comes next has the whole time of a lease. */
  async #renewLeft(): Promise<void> {
    await this.#coordinator.heartbeat(this.#left);
    await Promise.all(this.#left.map(({ buildId }) => this.#deps.runtime.renew(buildId)));
  }

  /** Twice in a row, because a claim that is on its way is in the database before it is here. */
  async #giveBackUnknown(unknown: readonly (AttemptKey & { readonly key: string })[]): Promise<void> {
    // A build that keeps coming back is left to its lease: that counts, and ends.
    const missing = unknown.filter(({ key, attemptNo }) => !this.#attempts.has(key) && attemptNo < MAX_GIVEN_BACK);
    for (const attempt of missing) {
      if (this.#unknownBefore.has(attempt.key)) await this.#coordinator.giveBack(attempt);
    }
    this.#unknownBefore = new Set(missing.map(({ key }) => key));
  }

  async #probe(): Promise<void> {
    this.#agents = await probeAgents(this.#deps.agents);
    await this.#coordinator.updateAgents(this.#agents);
    this.#orders.forget();
    // Of what waits some may need no more than it has now.
    this.#claims?.wake();
  }

  async #recordDrift(): Promise<void> {
    const versions = new Map(this.#agents.flatMap(({ name, version }) => (version === null ? [] : [[name, version]])));
    const drift = await this.#coordinator.recordDrift(this.#drift, versions);
    if (drift.length > 0) this.#deps.logger.warn({ drift }, 'agents said what this version of Slipway does not know');
  }
}

function keyOf(build: Pick<ClaimedBuild, 'id' | 'attemptNo'>): string {
  return `${build.id}:${build.attemptNo}`;
}
