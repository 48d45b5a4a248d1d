/** The noun: one attempt at a task of the types that Slipway's workers run. */
import type { UnreadableSecret } from '../builds/ledger-store.ts';
import type { Config } from '../config/config.ts';
import type { DeploySecret } from '../credentials/deploy-credential.ts';
import type { GitCredentials } from '../git/askpass.ts';
import type { Project } from '../projects/project.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import type { Logger } from '../telemetry/logger.ts';

export const RUN_TASK_TYPES = ['test', 'deploy'] as const;
export type RunTaskType = (typeof RUN_TASK_TYPES)[number];

export interface TaskToRun {
  /** UUID; the workspace has it, too. */
  readonly id: string;
  readonly projectId: string;
  readonly type: RunTaskType;
  readonly payload: unknown;
  readonly attemptNo: number;
}

/** The credentials that one task uses, opened. Plain data: it can cross a wire. */
export interface OpenedTaskSecrets {
  /** Of the repository's origin, and of no other. */
  readonly git: GitCredentials | UnreadableSecret | null;
  /** Of a deployment's environment. */
  readonly deploy: DeploySecret | UnreadableSecret | null;
  /** What nothing of the task may show, as far as whoever runs it can come by it. */
  readonly hidden: readonly string[];
}

/** What only whoever has the database and the master key knows. Each throws SupersededError when the task is somebody else's. */
export interface TaskFacts {
  /** Null: it is gone. */
  project(): Promise<Project | null>;
  /** They count as used from now on. */
  secrets(): Promise<OpenedTaskSecrets>;
}

export interface RunTaskDeps {
  readonly config: Config;
  readonly facts: TaskFacts;
  readonly runtime: Runtime;
  readonly logger: Logger;
}

export type TaskFailureReason =
  | 'INVALID_PAYLOAD'
  | 'NOT_CONFIGURED'
  | 'CREDENTIAL_UNREADABLE'
  | 'GIT_CLONE_FAILED'
  | 'SANDBOX_FAILED'
  | 'TIMEOUT'
  | 'OUTPUT_LIMIT'
  | 'COMMAND_FAILED'
  | 'TESTS_FAILED'
  | 'REPORT_UNREADABLE'
  | 'DEPLOY_FAILED'
  | 'INTERNAL';

/** How an attempt ends; `result` is JSON of at most 64 KiB. */
export type TaskEnd =
  | { readonly status: 'COMPLETED'; readonly result: Readonly<Record<string, unknown>> }
  | {
      readonly status: 'FAILED';
      readonly reason: TaskFailureReason;
      readonly message: string;
      /** Another attempt may end otherwise. */
      readonly retryable: boolean;
      readonly result: Readonly<Record<string, unknown>> | null;
    };

/** A step that cannot go on: the attempt ends with this failure. */
export class TaskFailedError extends Error {
  override readonly name = 'TaskFailedError';
  readonly end: TaskEnd & { readonly status: 'FAILED' };

  constructor(reason: TaskFailureReason, message: string, { retryable = false } = {}) {
    super(message);
    this.end = { status: 'FAILED', reason, message, retryable, result: null };
  }
}
