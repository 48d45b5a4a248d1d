/** What the phases of one attempt share. */
import type { Agent } from '../agents/agent.ts';
import type { FileStore } from '../artifacts/file-store.ts';
import type { Config } from '../config/config.ts';
import type { MasterKey } from '../credentials/master-key.ts';
import type { GitContext } from '../git/git.ts';
import type { Project } from '../projects/project.ts';
import type { Template, TemplateCatalogue } from '../projects/template.ts';
import type { Redact } from '../runtimes/redact.ts';
import type { Runtime, Workspace } from '../runtimes/runtime.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ClaimedBuild } from './build.ts';
import type { BuildFailure } from './build-result.ts';
import type { Ledger, LedgerDeps } from './ledger.ts';

export interface RunBuildDeps extends LedgerDeps {
  readonly config: Config;
  readonly logger: Logger;
  readonly masterKey: MasterKey;
  readonly templates: TemplateCatalogue;
  readonly agents: ReadonlyMap<string, Agent>;
  readonly runtime: Runtime;
  readonly artifacts: FileStore;
}

/**
 * Why the worker ends an attempt from outside. `superseded`: another attempt owns the build, so nothing of it may be
 * touched any more, not even its processes: the successor may have re-attached to them.
 */
export type InterruptReason = 'cancelled' | 'released' | 'superseded';

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
  readonly git: GitContext;
  /** For everything that a program prints. */
  readonly redact: Redact;
  /** Its reason is an Interrupt. */
  readonly signal: AbortSignal;
}
