/** Claims builds, runs them, tells the others that it lives, rescues what the dead left, and drains. */
import { hostname } from 'node:os';
import { v7 } from 'uuid';
import type { ClaimedBuild } from '../builds/build.ts';
import { claimBuilds, heartbeat } from '../builds/claim-builds.ts';
import { HEARTBEAT_EVERY_MS, LEASE_SECONDS, RESCUE_EVERY_MS } from '../builds/lease.ts';
import { rescueBuilds } from '../builds/rescue-builds.ts';
import { runBuild } from '../builds/run-build.ts';
import { Interrupt, type InterruptReason, type RunBuildDeps } from '../builds/running-build.ts';
import { isTransient } from '../database/transient.ts';
import { cancelTopic, QUEUE_TOPIC } from '../events/topics.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import { VERSION } from '../std/version.ts';
import { cleanWorkspaces, ownsBuild } from './janitor.ts';
import { markDraining, markStopped, registerWorker } from './registry.ts';

/** A ready build is found this late at most, when every hint was lost. */
const LOOK_EVERY_MS = 2_000;
const CLEAN_EVERY_MS = 60_000;

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
  readonly #capacity: number;
  readonly #attempts = new Map<string, Attempt>();
  readonly #loops: Loop[] = [];
  readonly #offs: (() => void)[] = [];
  #claims: Loop | null = null;
  #draining: Promise<void> | null = null;
  /** Since when the database has answered without a pause, as the process' own clock counts; null while it does not. */
  #answeringSince: number | null = null;

  constructor(deps: RunBuildDeps, options: WorkerOptions) {
    this.#deps = deps;
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
    this.#answeringSince = performance.now();
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
    loop('clean', CLEAN_EVERY_MS, () => cleanWorkspaces(this.#deps));
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
    await ended();
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
    const interrupt = new AbortController();
    const off = this.#deps.hub.on(cancelTopic(build.id), () => this.#wakeBeat());
    const ended = runBuild(this.#deps, build, interrupt.signal)
      .then(async (end) => {
        // A successor on this host goes on with these very processes; one elsewhere cannot end them.
        if (end === 'superseded' && !(await ownsBuild(this.#deps, build.id))) await this.#deps.runtime.sweep(build.id);
      })
      .catch((error: unknown) => this.#deps.logger.error({ error, build: build.id }, 'an attempt was given up'))
      .finally(() => {
        off();
        this.#attempts.delete(build.id);
        this.#claims?.wake();
      });
    this.#attempts.set(build.id, { build, interrupt, ended });
  }

  async #beat(): Promise<void> {
    const attempts = [...this.#attempts.values()];
    const sent = attempts.map(({ build }) => ({ buildId: build.id, attemptNo: build.attemptNo }));
    let answer: Awaited<ReturnType<typeof heartbeat>>;
    try {
      answer = await heartbeat(this.#deps, { workerId: this.id, attempts: sent });
    } catch (error) {
      this.#answeringSince = null;
      throw error;
    }
    this.#answeringSince ??= performance.now();
    for (const { build, interrupt } of attempts) {
      const renewed = answer.renewed.get(build.id);
      const reason: InterruptReason | null = renewed ? (renewed.cancelRequested ? 'cancelled' : null) : 'superseded';
      // An attempt that has just ended is not renewed either, and is no longer there to be interrupted.
      if (reason && this.#attempts.has(build.id)) interrupt.abort(new Interrupt(reason));
    }
  }

  async #rescue(): Promise<void> {
    // After an outage of the database every lease has run out, and the workers are alive: they get the time to say so.
    const since = this.#answeringSince;
    if (since === null || performance.now() - since < LEASE_SECONDS * 1000) return;
    await rescueBuilds(this.#deps, 'expired');
  }
}
