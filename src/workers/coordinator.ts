/**
 * The contract of whoever hands out builds and knows the workers: Postgres (`postgres-coordinator.ts`), or a server that
 * has it (`src/remote/api-coordinator.ts`). One coordinator serves one worker.
 */
import type { Drift, DriftCounter } from '../agents/drift.ts';
import type { ClaimedBuild } from '../builds/build.ts';
import type { AttemptKey, HeartbeatAnswer } from '../builds/claim-builds.ts';
import type { Ledger } from '../builds/ledger.ts';
import type { KeptPlaces } from '../builds/place-offers.ts';
import type { AgentReport } from './probe-agents.ts';
import type { NewWorker } from './registry.ts';
import type { Standing } from './standing.ts';
import type { TaskCoordinator } from './task-coordinator.ts';

/**
 * What a workspace here is to its build. `ended`: the home stays, so that the session can be resumed; `expired`: all of
 * it may go; `elsewhere`: a worker of another host has begun anew, and what this host has is in nobody's hands.
 */
export type Remains = 'ended' | 'expired' | 'elsewhere';

export interface Left {
  readonly id: string;
  readonly remains: Remains;
  /** Of a build that runs elsewhere: its last attempt that may have been here. */
  readonly attemptNo: number | null;
}

export interface Coordinator {
  /**
   * From then on the worker is there, and builds of dead workers of its machine go on: `places` of them at most as its own,
   * because their agents may live here.
   */
  register(worker: NewWorker, places: number): Promise<Registration>;
  /** Up to `limit` builds that ask for no other labels, and are now the worker's; none when nothing is ready. */
  claim(labels: readonly string[], limit: number): Promise<readonly ClaimedBuild[]>;
  /**
   * What waits may be claimed with a commit of this process that accepts builds or ends some (`ending`): for places that `keep`
   * gives, when it gives any. Only beside the database. Until the returned function is called.
   */
  onCommit(keep: (ending: readonly AttemptKey[]) => Promise<FreePlaces | null>): () => void;
  /** What administrators say of the worker, and with which labels it claims. */
  readStanding(): Promise<Standing>;
  /** Renews the leases of these attempts. */
  heartbeat(attempts: readonly AttemptKey[]): Promise<HeartbeatAnswer>;
  /** Gives back what the worker has claimed and does not run. */
  giveBack(attempt: AttemptKey): Promise<void>;
  openLedger(build: ClaimedBuild): Ledger;
  /** Is the build over, or run by a worker of another place? */
  isElsewhere(buildId: string): Promise<boolean>;
  /** Those of these builds that have left something here which may go. */
  findRemains(buildIds: readonly string[]): Promise<readonly Left[]>;
  updateAgents(agents: readonly AgentReport[]): Promise<void>;
  /** Adds what was counted to what all workers have counted. */
  recordDrift(counter: DriftCounter, versions: ReadonlyMap<string, string>): Promise<readonly Drift[]>;
  markDraining(): Promise<void>;
  markStopped(): Promise<void>;
  /** Hints, which may be lost: there may be a build to claim; somebody has told this build something. */
  onWork(wake: () => void): () => void;
  onTold(buildId: string, wake: () => void): () => void;
  /** A hint, too: an administrator has said something of the worker. */
  onOrders(wake: () => void): () => void;
  /** Whoever hands out tasks to the same worker. */
  readonly tasks: TaskCoordinator;
  /** What a worker does for all; null where others do. */
  readonly duties: Duties | null;
}

/** Places of a worker that are kept for what it may be given. */
export interface FreePlaces extends Omit<KeptPlaces, 'claimer'> {
  readonly labels: readonly string[];
}

export interface Registration {
  /** How long a claim holds without a heartbeat. */
  readonly leaseSeconds: number;
  /** As if it had claimed them. */
  readonly inherited: readonly ClaimedBuild[];
}

/** `ends`: of what is not begun by then nothing is done. */
export interface Duties {
  /** Builds whose lease has run out go on. */
  rescue(ends: AbortSignal): Promise<void>;
  /** What must be looked after once in a while, besides workspaces. */
  keepHouse(ends: AbortSignal): Promise<void>;
}
