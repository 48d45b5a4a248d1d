/** How a build ended: one shape for success and failure, the same in the API, the callback and the CLI. */
import type { Usage } from '../events/event.ts';
import type { BuildPhase } from '../events/vocabulary.ts';
import type { FileChange } from '../git/changes.ts';

/** Every reason a build can fail for, whether the same build may work if started again, and what to do about it. */
export const FAILURES = {
  AGENT_ERROR: { retryable: true, remedy: 'Read the log for what the agent reported, then retry the build.' },
  AGENT_REFUSED: { retryable: false, remedy: 'The model refused the task. Rephrase the prompt.' },
  PROVIDER_UNAVAILABLE: {
    retryable: true,
    remedy: 'Install the agent on every worker or choose another provider, then retry; `slipway doctor` tells how.',
  },
  PROVIDER_AUTH: {
    retryable: false,
    remedy:
      'Check the key of the provider: a credential of the project or of all projects goes before that of the worker.',
  },
  CREDENTIAL_UNREADABLE: {
    retryable: true,
    remedy:
      'Give every worker the current master key (`slipway doctor` says which it has), or set the credential again.',
  },
  PROVIDER_QUOTA: {
    retryable: true,
    remedy: 'The account is out of credit or over its rate limit. Wait or raise the limit, then retry.',
  },
  PROVIDER_OVERLOADED: { retryable: true, remedy: 'The provider did not answer properly. Retry later.' },
  CONTEXT_EXHAUSTED: {
    retryable: false,
    remedy: 'The task does not fit the model. Split it or choose a model with a larger context.',
  },
  BUDGET_EXCEEDED: {
    retryable: false,
    remedy:
      'Raise limits.maxCostUsd or limits.maxTokens, or the budget in the settings of the project, or make the task ' +
      'smaller. The budget of a day is new at midnight UTC.',
  },
  MAX_TURNS: { retryable: false, remedy: 'Raise limits.maxTurns or make the task smaller.' },
  TIMEOUT: { retryable: false, remedy: 'Raise limits.wallSeconds or make the task smaller.' },
  IDLE_TIMEOUT: {
    retryable: true,
    remedy: 'The agent said nothing for too long. Retry, or raise limits.silenceSeconds.',
  },
  PERMISSION_DENIED: {
    retryable: false,
    remedy: 'The agent needed a tool that it may not use. See the denials in the events.',
  },
  NO_CHANGES: {
    retryable: false,
    remedy: 'The agent finished without changing a file. If that is fine, set autoCommit to false.',
  },
  GIT_CLONE_FAILED: {
    retryable: true,
    remedy: 'Check the repository URL, its credentials and that it can be reached from the worker.',
  },
  GIT_CONFLICT: {
    retryable: true,
    remedy: 'The branch moved and the changes do not fit on top of it. Retry to build on the new state.',
  },
  GIT_PUSH_REJECTED: {
    retryable: false,
    remedy: 'The remote refused the push. Check branch protection, hooks and the rights of the credentials.',
  },
  GIT_PUSH_FAILED: {
    retryable: true,
    remedy: 'The remote could not be reached or did not take the commit. Check it, then retry.',
  },
  NESTED_REPOSITORY: {
    retryable: false,
    remedy: 'The changes contain a git repository of its own. Ask the agent to remove its .git folder.',
  },
  FILE_LIMIT: {
    retryable: false,
    remedy: 'The changes are larger than a commit may be. Ignore generated files in .gitignore.',
  },
  SECRET_DETECTED: {
    retryable: false,
    remedy:
      'Have the secret taken out of the files, and replace it if it is real. If it is none, allow the file in the ' +
      'settings of the project: `secretScan.allowPaths`.',
  },
  OUTPUT_TOO_LARGE: { retryable: false, remedy: 'The agent printed more than a build may print.' },
  WORKER_LOST: {
    retryable: true,
    remedy: 'The worker or the workspace was lost more than once during this build. Check memory and disk, then retry.',
  },
  WORKSPACE_FULL: {
    retryable: true,
    remedy:
      'The disk of the workspace was full. Make room on the worker, or raise `workspace.storage` of the project, then ' +
      'retry.',
  },
  OUT_OF_MEMORY: {
    retryable: true,
    remedy: 'The build needed more memory than its workspace has. Raise `workspace.memory` of the project, then retry.',
  },
  SANDBOX_FAILED: {
    retryable: true,
    remedy:
      'The workspace could not be prepared. Check disk space and rights of the data folder; on Kubernetes the image, the ' +
      'quota and the room of the nodes (`slipway doctor --kubernetes`).',
  },
  SANDBOX_UNAVAILABLE: {
    retryable: true,
    remedy:
      'Install bubblewrap on every worker (`slipway doctor` says what is missing), or allow the build all of the ' +
      'network, then start it again.',
  },
  INVALID_SPEC: { retryable: false, remedy: 'Correct the build and start it again.' },
  INTERNAL: { retryable: true, remedy: 'This is a defect of Slipway. Report it with the build id.' },
} as const satisfies Record<string, { retryable: boolean; remedy: string }>;

export type FailureReason = keyof typeof FAILURES;

export const FAILURE_REASONS = Object.keys(FAILURES) as readonly FailureReason[];

export interface BuildFailure {
  readonly reason: FailureReason;
  readonly phase: BuildPhase;
  readonly message: string;
  readonly retryable: boolean;
  readonly remedy: string;
}

/** What became of the changes. */
const PUBLICATIONS = ['PUSHED', 'COMMITTED', 'NO_CHANGES', 'NONE'] as const;
export type Publication = (typeof PUBLICATIONS)[number];

export interface ResultArtifact {
  readonly id: string;
  readonly name: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

export interface BuildResult {
  readonly success: boolean;
  /** The agent's last answer, cut to 64 KiB. */
  readonly output: string | null;
  readonly error: BuildFailure | null;
  readonly publication: Publication;
  /** The commit, proved to be on the remote when `publication` is PUSHED. */
  readonly commitSha: string | null;
  /** A page for people, where the host of the repository is known to have one. */
  readonly commitUrl: string | null;
  readonly branch: string | null;
  readonly filesChanged: readonly FileChange[];
  /** From the first claim to the end, milliseconds; 0 when it never started. */
  readonly durationMs: number;
  readonly artifacts: readonly ResultArtifact[];
  readonly usage: Usage | null;
  readonly sessionId: string | null;
}

export function failure(reason: FailureReason, phase: BuildPhase, message: string): BuildFailure {
  return { reason, phase, message, ...FAILURES[reason] };
}
