/** Builds and tasks handed out by a server, to a worker that reaches only its API. */
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
import { ApiHints } from './api-hints.ts';
import { ApiLedger } from './api-ledger.ts';
import { ApiTaskCoordinator } from './api-task-coordinator.ts';
import type { Connection, RequestOptions } from './connection.ts';
import { type Answers, MAX_BUILDS, type RequestName, type RequestOf } from './protocol.ts';

/** A heartbeat that takes longer is sent anew. */
const BEAT_WITHIN_MS = 5_000;
const UNKNOWN_VERSION = 'unknown';

export class ApiCoordinator implements Coordinator {
  readonly duties = null;
  readonly tasks: ApiTaskCoordinator;
  readonly #connection: Connection;
  readonly #workerId: string;
  readonly #hints = new ApiHints((request, options) => this.#request('hints', request, options));
  /** As the last heartbeat was told it. */
  #standing: Standing | null = null;

  constructor(connection: Connection, workerId: string) {
    this.#connection = connection;
    this.#workerId = workerId;
    this.tasks = new ApiTaskCoordinator(connection, workerId, this.#hints);
  }

  async register({ id: _, ...worker }: NewWorker, places: number) {
    const process = await readProcessKey();
    const labels = [...(worker.labels ?? [])];
    const body = { ...worker, process, labels, agents: reportsOf(worker.agents) };
    const { leaseSeconds, neighbours } = await this.#again('register', body);
    const workerIds = await findDead(neighbours, process);
    const request = { workerIds, places: Math.min(places, MAX_BUILDS) };
    const inherited = workerIds.length > 0 ? await this.#again('dead', request) : [];
    return { leaseSeconds, inherited: inherited ?? [] };
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

  onCommit(): () => void {
    return () => {};
  }

  onWork(wake: () => void): () => void {
    return this.#hints.onWork(wake);
  }

  onTold(buildId: string, wake: () => void): () => void {
    return this.#hints.onBuildTold(buildId, wake);
  }

  onOrders(wake: () => void): () => void {
    return this.#hints.onOrders(wake);
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
