/** Hands out builds from Postgres, to a worker beside it. */
import type { DriftCounter } from '../agents/drift.ts';
import type { ClaimedBuild } from '../builds/build.ts';
import { type AttemptKey, type Claimer, claimBuilds, giveBack, heartbeat } from '../builds/claim-builds.ts';
import { LEASE_SECONDS } from '../builds/lease.ts';
import type { PlaceOffers } from '../builds/place-offers.ts';
import { openPostgresLedger, type PostgresLedgerDeps } from '../builds/postgres-ledger.ts';
import { inheritBuilds, rescueBuilds } from '../builds/rescue-builds.ts';
import { ensurePartitions } from '../database/partitions.ts';
import { BUILDS_TOPIC, ordersTopic, QUEUE_TOPIC, WORKERS_TOPIC, workerTopic, workTopic } from '../events/topics.ts';
import { recordDrift } from './agent-drift.ts';
import type { Coordinator, Duties, FreePlaces } from './coordinator.ts';
import { findRemains } from './find-remains.ts';
import { isElsewhere } from './is-elsewhere.ts';
import { keepHouse } from './janitor.ts';
import { PostgresTaskCoordinator, type PostgresTaskDeps } from './postgres-task-coordinator.ts';
import type { AgentReport } from './probe-agents.ts';
import { markDraining, markStopped, type NewWorker, registerWorker, updateAgents } from './registry.ts';
import { readStanding } from './standing.ts';

/** `controlDb`: connections of their own for heartbeat and rescue, so that a busy pool costs no lease. */
export type PostgresCoordinatorDeps = PostgresLedgerDeps &
  PostgresTaskDeps & {
    readonly places: Pick<PlaceOffers, 'serve'>;
  };

interface Self {
  readonly id: string;
  readonly name: string;
  /** That of its runtime. */
  readonly place: string;
}

export class PostgresCoordinator implements Coordinator {
  readonly duties: Duties;
  readonly tasks: PostgresTaskCoordinator;
  readonly #deps: PostgresCoordinatorDeps;
  readonly #self: Self;

  constructor(deps: PostgresCoordinatorDeps, self: Self) {
    this.#deps = deps;
    this.#self = self;
    const taker = { workerId: self.id, workerName: self.name, projectIds: null, leaseSeconds: 0, elsewhere: false };
    this.tasks = new PostgresTaskCoordinator(deps, taker);
    this.duties = {
      rescue: async (ends) => void (await rescueBuilds({ ...deps, db: deps.controlDb, ends }, 'expired')),
      keepHouse: (ends) => keepHouse({ ...deps, ends }),
    };
  }

  async register(worker: NewWorker, places: number) {
    const dead = await registerWorker(this.#deps.db, worker);
    this.#deps.hub.announce(WORKERS_TOPIC);
    const inherited = dead.length > 0 ? await this.#inherit(dead, places) : [];
    await ensurePartitions(this.#deps.db);
    return { leaseSeconds: LEASE_SECONDS, inherited };
  }

  async #inherit(dead: readonly string[], places: number) {
    const { id: workerId, name: workerName } = this.#self;
    const { labels } = await readStanding(this.#deps.db, workerId);
    return inheritBuilds(this.#deps, dead, { workerId, workerName, labels, projectIds: null, places });
  }

  claim(labels: readonly string[], limit: number) {
    return claimBuilds(this.#deps, this.#claimer(labels), limit);
  }

  onCommit(keep: (ending: readonly AttemptKey[]) => Promise<FreePlaces | null>) {
    return this.#deps.places.serve(async (ending) => {
      const places = await keep(ending);
      return places && { ...places, claimer: this.#claimer(places.labels) };
    });
  }

  #claimer(labels: readonly string[]): Claimer {
    const { id: workerId, name: workerName } = this.#self;
    return { workerId, workerName, labels, projectIds: null };
  }

  readStanding() {
    return readStanding(this.#deps.controlDb, this.#self.id);
  }

  heartbeat(attempts: readonly AttemptKey[]) {
    return heartbeat({ db: this.#deps.controlDb }, { workerId: this.#self.id, attempts });
  }

  giveBack(attempt: AttemptKey) {
    return giveBack(this.#deps, this.#self.id, attempt);
  }

  openLedger(build: ClaimedBuild) {
    return openPostgresLedger(this.#deps, build);
  }

  isElsewhere(buildId: string) {
    return isElsewhere(this.#deps.db, { buildId, place: this.#self.place });
  }

  findRemains(buildIds: readonly string[]) {
    return findRemains(this.#deps.db, { buildIds, place: this.#self.place });
  }

  updateAgents(agents: readonly AgentReport[]) {
    return updateAgents(this.#deps.db, this.#self.id, agents);
  }

  recordDrift(counter: DriftCounter, versions: ReadonlyMap<string, string>) {
    return recordDrift(this.#deps.db, counter, versions);
  }

  async markDraining() {
    await markDraining(this.#deps.db, this.#self.id);
    this.#deps.hub.announce(WORKERS_TOPIC);
  }

  async markStopped() {
    await markStopped(this.#deps.db, [this.#self.id]);
    this.#deps.hub.announce(WORKERS_TOPIC);
  }

  onWork(wake: () => void) {
    const offs = [BUILDS_TOPIC, QUEUE_TOPIC, workTopic(this.#self.id)].map((topic) => this.#deps.hub.on(topic, wake));
    return () => {
      for (const off of offs) off();
    };
  }

  onTold(buildId: string, wake: () => void) {
    return this.#deps.hub.on(workerTopic(buildId), wake);
  }

  onOrders(wake: () => void) {
    return this.#deps.hub.on(ordersTopic(this.#self.id), wake);
  }
}
