/** Claims builds, runs them, tells the others that it lives, rescues what the dead left, and drains. */
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { v7 } from 'uuid';
import type { ClaimedBuild } from '../builds/build.ts';
import { type AttemptKey, claimBuilds, giveBack, heartbeat } from '../builds/claim-builds.ts';
import { HEARTBEAT_EVERY_MS, LEASE_SECONDS, RESCUE_EVERY_MS } from '../builds/lease.ts';
import { rescueBuilds } from '../builds/rescue-builds.ts';
import { runBuild } from '../builds/run-build.ts';
import { Interrupt, type InterruptReason, type RunBuildDeps } from '../builds/running-build.ts';
import type { Database } from '../database/database.ts';
import { ensurePartitions } from '../database/partitions.ts';
import { isTransient } from '../database/transient.ts';
import { cancelTopic, QUEUE_TOPIC } from '../events/topics.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import { VERSION } from '../std/version.ts';
import { isElsewhere } from './is-elsewhere.ts';
import { keepHouse } from './janitor.ts';
import { markDraining, markStopped, registerWorker } from './registry.ts';

/** A ready build is found this late at most, when every hint was lost. */
const LOOK_EVERY_MS = 2_000;
const CLEAN_EVERY_MS = 60_000;
/** Longer than this without an answered heartbeat, and others may have taken us for dead. */
const MAX_BEAT_GAP_MS = 2 * HEARTBEAT_EVERY_MS;
const LEAVE_AFTER_MS = 30_000;
const MAX_GIVEN_BACK = 5;

export interface WorkerDeps extends RunBuildDeps {
  /** Connections of their own for heartbeat and rescue, so that a busy pool costs no lease. */
  readonly controlDb: Database;
}

export interface WorkerOptions {
  readonly name: string | undefined;
  /** Builds at the same time. */
  readonly capacity: number;
}

interface Attempt {
  readonly build: ClaimedBuild;
  readonly interrupt: AbortController;
  readonly ended: Promise<void>;
}

export class Worker implements AsyncDisposable {
  readonly id = v7();
  readonly name: string;
  readonly #deps: RunBuildDeps;
  readonly #control: { readonly db: Database };
  readonly #capacity: number;
  readonly #attempts = new Map<string, Attempt>();
  readonly #loops: Loop[] = [];
  readonly #offs: (() => void)[] = [];
  #claims: Loop | null = null;
  #draining: Promise<void> | null = null;
  /** The last answered heartbeat, and since when they are answered without a pause; the clock of the day, because the
   * other one stands still while the machine sleeps. */
  #answeredAt = 0;
  #answeringSince: number | null = null;
  #unknownBefore: ReadonlySet<string> = new Set();

  constructor(deps: WorkerDeps, options: WorkerOptions) {
    this.#deps = deps;
    this.#control = { db: deps.controlDb };
    this.name = options.name ?? hostname();
    this.#capacity = options.capacity;
  }

  get running(): number {
    return this.#attempts.size;
  }

  /** Registers and starts to work. */
  async open(): Promise<void> {
    const { db, config, agents, logger } = this.#deps;
    const probes = [...agents.values()].map(async (agent) => ({ provider: agent.name, probe: await agent.probe() }));
    const providers = (await Promise.all(probes)).flatMap(({ provider, probe }) =>
      probe.available ? [{ provider, version: probe.version }] : [],
    );
    const dead = await registerWorker(db, {
      id: this.id,
      name: this.name,
      dataFolder: config.dataFolder,
      version: VERSION,
      capacity: this.#capacity,
      providers,
    });
    if (dead.length > 0) await rescueBuilds(this.#deps, { workers: dead });
    await ensurePartitions(db);
    this.#answeredAt = Date.now();
    this.#answeringSince = Date.now();
    const loop = (name: string, everyMs: number, work: () => Promise<void>) => {
      const started = startLoop({
        everyMs,
        work,
        onError: (error) =>
          logger.warn({ error: isTransient(error) ? String(error) : error, loop: name }, 'will try again'),
      });
      this.#loops.push(started);
      return started;
    };
    const claim = loop('claim', LOOK_EVERY_MS, () => this.#claim());
    this.#claims = claim;
    const beat = loop('heartbeat', HEARTBEAT_EVERY_MS, () => this.#beat());
    loop('rescue', RESCUE_EVERY_MS, () => this.#rescue());
    loop('clean', CLEAN_EVERY_MS, () => keepHouse(this.#deps));
    this.#offs.push(this.#deps.hub.on(QUEUE_TOPIC, claim.wake));
    this.#wakeBeat = beat.wake;
    claim.wake();
    logger.info(
      { worker: this.name, capacity: this.#capacity, providers: providers.map((p) => p.provider) },
      'working',
    );
  }

  /**
   * Takes no more builds; lets those that run go on for `graceMs`, then puts them back into the queue. Resolves when
   * none of their processes is alive. A second call with a shorter time shortens the first.
   */
  async drain(graceMs: number): Promise<void> {
    this.#draining ??= markDraining(this.#deps.db, this.id).catch(() => {});
    // A claim that is on its way still starts its builds: they are waited for like the others.
    await Promise.all([this.#draining, this.#claims?.stop()]);
    const ended = () => Promise.all([...this.#attempts.values()].map((attempt) => attempt.ended));
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise((done) => {
      timer = setTimeout(done, graceMs);
    });
    await Promise.race([ended(), grace]);
    clearTimeout(timer);
    for (const attempt of this.#attempts.values()) attempt.interrupt.abort(new Interrupt('released'));
    // What is being pushed is not let go of; and what takes longer than this is left to the next worker as it is.
    const leave = new AbortController();
    await Promise.race([ended(), delay(LEAVE_AFTER_MS, undefined, { signal: leave.signal }).catch(() => {})]);
    leave.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
    for (const off of this.#offs.splice(0)) off();
    await Promise.all(this.#loops.splice(0).map((loop) => loop.stop()));
    await markStopped(this.#deps.db, [this.id]).catch(() => {});
  }

  #wakeBeat = () => {};

  async #claim(): Promise<void> {
    while (!this.#draining) {
      const free = this.#capacity - this.#attempts.size;
      if (free <= 0) return;
      const claimed = await claimBuilds(this.#deps, { workerId: this.id, workerName: this.name }, free);
      for (const build of claimed) this.#start(build);
      if (claimed.length < free) return;
    }
  }

  #start(build: ClaimedBuild): void {
    const key = keyOf(build);
    // A worker can lose a build and be given it again: its own earlier attempt lets go first.
    const earlier = [...this.#attempts.values()].filter((attempt) => attempt.build.id === build.id);
    for (const attempt of earlier) attempt.interrupt.abort(new Interrupt('superseded'));
    const interrupt = new AbortController();
    const off = this.#deps.hub.on(cancelTopic(build.id), () => this.#wakeBeat());
    const ended = Promise.all(earlier.map((attempt) => attempt.ended))
      .then(() => runBuild(this.#deps, build, interrupt.signal))
      .then(async (end) => {
        if (end === 'superseded' && (await isElsewhere(this.#deps, build.id))) await this.#deps.runtime.sweep(build.id);
      })
      .catch((error: unknown) => this.#deps.logger.error({ error, build: build.id }, 'an attempt was given up'))
      .finally(() => {
        off();
        this.#attempts.delete(key);
        this.#claims?.wake();
      });
    this.#attempts.set(key, { build, interrupt, ended });
  }

  async #beat(): Promise<void> {
    const attempts = [...this.#attempts.values()];
    const sent = attempts.map(({ build }) => ({ buildId: build.id, attemptNo: build.attemptNo }));
    const { owned, unknown } = await heartbeat(this.#control, { workerId: this.id, attempts: sent }).catch((error) => {
      this.#answeringSince = null;
      throw error;
    });
    const now = Date.now();
    // After an outage of the database, and after a pause of ours, leases have run out although their workers live.
    if (now - this.#answeredAt > MAX_BEAT_GAP_MS) this.#answeringSince = null;
    this.#answeredAt = now;
    this.#answeringSince ??= now;
    for (const { build, interrupt } of attempts) {
      const state = owned.get(build.id);
      const reason: InterruptReason | null = state ? (state.cancelRequested ? 'cancelled' : null) : 'superseded';
      // An attempt that has just ended is not owned either, and is no longer there to be interrupted.
      if (reason && this.#attempts.has(keyOf(build))) interrupt.abort(new Interrupt(reason));
    }
    await this.#giveBackUnknown(
      unknown.map((attempt) => ({ ...attempt, key: `${attempt.buildId}:${attempt.attemptNo}` })),
    );
  }

  /** Twice in a row, because a claim that is on its way is in the database before it is here. */
  async #giveBackUnknown(unknown: readonly (AttemptKey & { readonly key: string })[]): Promise<void> {
    // A build that keeps coming back is left to its lease: that counts, and ends.
    const missing = unknown.filter(({ key, attemptNo }) => !this.#attempts.has(key) && attemptNo < MAX_GIVEN_BACK);
    for (const attempt of missing) {
      if (this.#unknownBefore.has(attempt.key)) await giveBack(this.#deps, this.id, attempt);
    }
    this.#unknownBefore = new Set(missing.map(({ key }) => key));
  }

  async #rescue(): Promise<void> {
    const since = this.#answeringSince;
    const now = Date.now();
    // Whoever was away himself cannot tell who else is.
    if (since === null || now - this.#answeredAt > MAX_BEAT_GAP_MS || now - since < LEASE_SECONDS * 1000) return;
    await rescueBuilds({ ...this.#deps, ...this.#control }, 'expired');
  }
}

function keyOf(build: Pick<ClaimedBuild, 'id' | 'attemptNo'>): string {
  return `${build.id}:${build.attemptNo}`;
}
