/** What the phases of one attempt share. */
import type { Agent } from '../agents/agent.ts';
import type { DriftCounter } from '../agents/drift.ts';
import type { Config } from '../config/config.ts';
import type { GitRemote } from '../git/git.ts';
import type { Project } from '../projects/project.ts';
import type { Template, TemplateCatalogue } from '../projects/template.ts';
import type { Redact } from '../runtimes/redact.ts';
import type { Runtime, Workspace } from '../runtimes/runtime.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { ClaimedBuild } from './build.ts';
import type { BuildFailure } from './build-result.ts';
import type { BuildSecrets } from './build-secrets.ts';
import type { CheckoutTasks } from './checkout-work.ts';
import type { Doorbell } from './doorbell.ts';
import type { Ledger } from './ledger.ts';

/** Nothing of it is the database's: what a build writes and asks goes through its ledger. */
export interface RunBuildDeps {
  readonly config: Config;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly openLedger: (build: ClaimedBuild) => Ledger;
  readonly templates: TemplateCatalogue;
  readonly agents: ReadonlyMap<string, Agent>;
  readonly runtime: Runtime;
  readonly drift: Pick<DriftCounter, 'add'>;
  /** Can nobody else have been given this worker's builds? Asked where a pause of this process would do harm. */
  readonly holdsLeases: () => boolean;
}

/**
 * Why the worker ends an attempt from outside. `superseded`: another attempt owns the build, so nothing of it may be
 * touched any more, not even its processes: the successor may have re-attached to them. `left`: the worker ends, and
 * the agent goes on for whoever comes next on this machine. `cut_off`: the lease cannot be renewed; the agent is ended
 * while it is surely still ours.
 */
export type InterruptReason = 'cancelled' | 'released' | 'superseded' | 'left' | 'cut_off';

/** The reason of the attempt's AbortSignal. */
export class Interrupt extends Error {
  override readonly name = 'Interrupt';
  readonly reason: InterruptReason;

  constructor(reason: InterruptReason) {
    super(`the attempt was interrupted: ${reason}`);
    this.reason = reason;
  }
}

/** A phase that cannot go on: the build ends with this failure. */
export class BuildFailedError extends Error {
  override readonly name = 'BuildFailedError';
  readonly failure: BuildFailure;

  constructor(failure: BuildFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

export interface RunningBuild {
  readonly build: ClaimedBuild;
  readonly project: Project;
  readonly template: Template | null;
  readonly agent: Agent;
  readonly ledger: Ledger;
  readonly workspace: Workspace;
  /** Opens the workspace again, after it was closed. */
  readonly reopen: () => Promise<void>;
  readonly checkout: CheckoutTasks;
  readonly remote: GitRemote;
  readonly credentials: BuildSecrets;
  /** For everything that a program prints. */
  readonly redact: Redact;
  readonly holdsLeases: () => boolean;
  /** Rings when somebody has told the build something. */
  readonly bell: Doorbell;
  /** Its reason is an Interrupt. */
  readonly signal: AbortSignal;
}
