/** Builds handed out by a server, to a worker that reaches only its API. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Drift, DriftCounter } from '../agents/drift.ts';
import type { ClaimedBuild } from '../builds/build.ts';
import type { AttemptKey, HeartbeatAnswer } from '../builds/claim-builds.ts';
import { Ledger } from '../builds/ledger.ts';
import { failpoint } from '../std/failpoint.ts';
import type { Coordinator } from '../workers/coordinator.ts';
import type { AgentReport } from '../workers/probe-agents.ts';
import { readProcessKey } from '../workers/process-key.ts';
import { findDead, type NewWorker } from '../workers/registry.ts';
import type { Standing } from '../workers/standing.ts';
import { ApiLedger } from './api-ledger.ts';
import type { Connection, RequestOptions } from './connection.ts';
import { type Answers, MAX_HINT_SECONDS, type RequestName, type RequestOf } from './protocol.ts';

/** A heartbeat that takes longer is sent anew. */
const BEAT_WITHIN_MS = 5_000;
const HINT_GRACE_MS = 10_000;
/** Between two questions for hints, so that a server that answers at once is not flooded. */
const HINT_PAUSE_MS = 250;
const HINT_AGAIN_MS = 2_000;
const UNKNOWN_VERSION = 'unknown';

export class ApiCoordinator implements Coordinator {
  readonly duties = null;
  readonly #connection: Connection;
  readonly #workerId: string;
  readonly #told = new Map<string, () => void>();
  #ordered = () => {};
  /** As the last heartbeat was told it. */
  #standing: Standing | null = null;
  /** Ends the present question for hints: another one is asked at once. */
  #ask = new AbortController();

  constructor(connection: Connection, workerId: string) {
    this.#connection = connection;
    this.#workerId = workerId;
  }

  async register({ id: _, ...worker }: NewWorker) {
    const process = await readProcessKey();
    const labels = [...(worker.labels ?? [])];
    const body = { ...worker, process, labels, agents: reportsOf(worker.agents) };
    const { leaseSeconds, neighbours } = await this.#again('register', body);
    const workerIds = await findDead(neighbours, process);
    if (workerIds.length > 0) await this.#again('dead', { workerIds });
    return { leaseSeconds };
  }

  async claim(labels: readonly string[], limit: number): Promise<readonly ClaimedBuild[]> {
    const claimed = await this.#request('claim', { labels: [...labels], limit });
    if (claimed.length > 0) await failpoint('claim.committed');
    return claimed;
  }

  async heartbeat(attempts: readonly AttemptKey[]): Promise<HeartbeatAnswer> {
    const options = { withinMs: BEAT_WITHIN_MS };
    const { owned, unknown, standing } = await this.#request('heartbeat', { attempts: [...attempts] }, options);
    this.#standing = standing;
    return { owned: new Map(owned.map(({ buildId, ...state }) => [buildId, state])), unknown };
  }

  async readStanding(): Promise<Standing> {
    return this.#standing ?? (await this.#request('standing', {}));
  }

  async giveBack(attempt: AttemptKey): Promise<void> {
    const { buildId, attemptNo } = attempt;
    await this.#request('give-back', { attempt: { buildId, attemptNo } });
  }

  openLedger(build: ClaimedBuild): Ledger {
    const { id: buildId, attemptNo } = build;
    return new Ledger(new ApiLedger(this.#connection, { workerId: this.#workerId, buildId, attemptNo }), build);
  }

  isElsewhere(buildId: string) {
    return this.#again('elsewhere', { buildId });
  }

  findRemains(buildIds: readonly string[]) {
    // Of the others the next round tells.
    return this.#request('remains', { buildIds: buildIds.slice(0, 1_000) });
  }

  async updateAgents(agents: readonly AgentReport[]): Promise<void> {
    await this.#request('agents', { agents: reportsOf(agents) });
  }

  async recordDrift(counter: DriftCounter, versions: ReadonlyMap<string, string>): Promise<readonly Drift[]> {
    const counted = counter.take();
    if (counted.length === 0) return [];
    const drift = counted.map((found) => ({
      ...found,
      version: found.version ?? versions.get(found.agent) ?? UNKNOWN_VERSION,
    }));
    try {
      await this.#request('drift', { drift });
    } catch (error) {
      for (const found of counted) counter.add(found);
      throw error;
    }
    return counted;
  }

  async markDraining(): Promise<void> {
    await this.#request('drain', {});
  }

  async markStopped(): Promise<void> {
    await this.#request('stop', {});
  }

  onWork(wake: () => void): () => void {
    const stop = new AbortController();
    void this.#listen(wake, stop.signal);
    return () => {
      stop.abort();
      this.#ask.abort();
    };
  }

  onTold(buildId: string, wake: () => void): () => void {
    this.#told.set(buildId, wake);
    this.#ask.abort();
    return () => {
      if (this.#told.get(buildId) === wake) this.#told.delete(buildId);
    };
  }

  onOrders(wake: () => void): () => void {
    this.#ordered = wake;
    return () => {
      this.#ordered = () => {};
    };
  }

  /** Hints may be lost: a heartbeat and a claim find out by themselves, only later. */
  async #listen(wake: () => void, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      this.#ask = new AbortController();
      const body = { buildIds: [...this.#told.keys()].slice(0, 1_000), seconds: MAX_HINT_SECONDS };
      const withinMs = MAX_HINT_SECONDS * 1_000 + HINT_GRACE_MS;
      const hint = await this.#request('hints', body, { withinMs, signal: this.#ask.signal }).catch(() => null);
      if (hint?.work) wake();
      if (hint?.orders) this.#ordered();
      for (const buildId of hint?.told ?? []) this.#told.get(buildId)?.();
      const pauseMs = hint || this.#ask.signal.aborted ? HINT_PAUSE_MS : HINT_AGAIN_MS;
      await delay(pauseMs, undefined, { signal: stop, ref: false }).catch(() => {});
    }
  }

  /** May be done twice. */
  #again<R extends RequestName>(name: R, request: RequestOf<R>): Promise<Answers[R]> {
    return this.#connection.untilAnswered(() => this.#request(name, request));
  }

  #request<R extends RequestName>(name: R, request: RequestOf<R>, options: RequestOptions = {}): Promise<Answers[R]> {
    return this.#connection.post<Answers[R]>(`/workers/${this.#workerId}/${name}`, request, options);
  }
}

/** With lists that may be changed, as the protocol has them. */
function reportsOf(agents: readonly AgentReport[]) {
  return agents.map((agent) => ({
    ...agent,
    capabilities: { ...agent.capabilities, messages: [...agent.capabilities.messages] },
  }));
}
