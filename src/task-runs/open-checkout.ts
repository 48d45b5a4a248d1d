/** A fresh workspace with the project's checkout, and what nothing of the task may show. */
import { join } from 'node:path/posix';
import { setTimeout as delay } from 'node:timers/promises';
import type { CheckoutTasks } from '../builds/checkout-work.ts';
import { openCheckout } from '../builds/checkout-work.ts';
import { openDistantCheckout } from '../builds/distant-checkout.ts';
import type { UnreadableSecret } from '../builds/ledger-store.ts';
import { gitEnvironment, secretOptions } from '../config/config.ts';
import type { DeploySecret } from '../credentials/deploy-credential.ts';
import type { GitCredentials } from '../git/askpass.ts';
import type { Checkout } from '../git/clone-repository.ts';
import { isLocalPath } from '../git/remote-url.ts';
import { REPOSITORY_OUT_OF_REACH } from '../projects/pod-limits.ts';
import type { Project } from '../projects/project.ts';
import { openRepository } from '../projects/repository.ts';
import { workspaceNeeds } from '../projects/workspace-needs.ts';
import { createRedactor, MIN_SECRET_LENGTH, type Redact } from '../runtimes/redact.ts';
import type { Workspace } from '../runtimes/runtime.ts';
import { WorkspaceLostError } from '../runtimes/workspace-lost.ts';
import { failpoint } from '../std/failpoint.ts';
import type { NetworkAccess } from '../std/network-access.ts';
import { type RunTaskDeps, TaskFailedError, type TaskToRun } from './task-run.ts';

/** Of one git command. */
const GIT_TIMEOUT_MS = 10 * 60_000;
/** What a task may need for its clone and its report. */
const BESIDE_THE_COMMAND_SECONDS = 30 * 60;
/** Between tries to reach the remote; then it is another attempt's turn. */
const CLONE_PAUSES_MS = [500, 1_500];

export interface Place {
  readonly commit?: string | null | undefined;
  readonly branch?: string | null | undefined;
}

export interface TaskSecrets {
  readonly git: GitCredentials | null;
  /** Of the environment that was asked for; null when it has none. */
  readonly deploy: DeploySecret | null;
  readonly redact: Redact;
}

export interface TaskCheckout {
  readonly workspace: Workspace;
  readonly checkout: CheckoutTasks;
  /** What is checked out. */
  readonly commit: string;
}

/** Throws TaskFailedError. */
export async function readProject({ facts }: Pick<RunTaskDeps, 'facts'>): Promise<Project> {
  const project = await facts.project();
  if (!project) throw new TaskFailedError('INTERNAL', 'The project is gone.');
  return project;
}

/** Throws TaskFailedError when a credential that is needed cannot be opened. */
export async function readTaskSecrets({ facts, config }: Pick<RunTaskDeps, 'facts' | 'config'>): Promise<TaskSecrets> {
  const { git, deploy, hidden } = await facts.secrets();
  // Whoever opened them does not know what this machine has in its own options.
  const all = new Set([...secretOptions(config), ...hidden]);
  return {
    git: readable(git),
    deploy: readable(deploy),
    redact: createRedactor([...all].filter(({ length }) => length >= MIN_SECRET_LENGTH)),
  };
}

function readable<T extends object>(secret: T | UnreadableSecret | null): T | null {
  if (secret === null || !('reason' in secret)) return secret;
  const message = `The credential ${secret.name} cannot be opened. ${secret.reason}`;
  throw new TaskFailedError('CREDENTIAL_UNREADABLE', message);
}

/** Throws TaskFailedError, WorkspaceLostError, and what `signal` aborts with. */
export async function openTaskCheckout(
  deps: RunTaskDeps,
  task: TaskToRun,
  given: {
    readonly project: Project;
    readonly place: Place;
    readonly git: GitCredentials | null;
    readonly network: NetworkAccess;
    readonly timeoutSeconds: number;
    readonly signal: AbortSignal;
  },
): Promise<TaskCheckout> {
  const { project, place, signal } = given;
  const remote = await openRepository(deps.config, project, given.git);
  if (!deps.runtime.reachesLocalPaths && isLocalPath(remote.url)) {
    throw new TaskFailedError('NOT_CONFIGURED', REPOSITORY_OUT_OF_REACH);
  }
  const workspace = await openWorkspace(deps, task, given);
  const allowLocal = deps.config.localRepositories ?? false;
  const context = { workspace, remote, signal, timeoutMs: GIT_TIMEOUT_MS, environment: gitEnvironment(), allowLocal };
  const checkout = workspace.isLocal ? openCheckout(context) : openDistantCheckout(context);
  const branch = place.branch ?? project.defaultBranch;
  const cache = join(workspace.paths.cache, `${project.id}.git`);
  const found = await checkOut(checkout, { project, place, branch, cache, signal });
  if (found.baseSha === null) throw new TaskFailedError('GIT_CLONE_FAILED', 'The repository is empty.');
  const own = await checkout.createAgentRepository({ branch, baseSha: found.baseSha });
  if (!own.ok) throw new TaskFailedError('GIT_CLONE_FAILED', own.message, { retryable: true });
  await failpoint('run.checkout');
  return { workspace, checkout, commit: found.baseSha };
}

async function openWorkspace(
  { runtime, config }: RunTaskDeps,
  { id, projectId, attemptNo }: TaskToRun,
  given: {
    readonly project: Project;
    readonly network: NetworkAccess;
    readonly timeoutSeconds: number;
    readonly signal: AbortSignal;
  },
): Promise<Workspace> {
  const { project, network, timeoutSeconds, signal } = given;
  const asked = workspaceNeeds(config, { project, template: null });
  if (!asked.ok) throw new TaskFailedError('NOT_CONFIGURED', asked.message);
  const problem = runtime.networkProblem(network);
  if (problem !== null) throw new TaskFailedError('NOT_CONFIGURED', problem);
  const maxSeconds = timeoutSeconds + BESIDE_THE_COMMAND_SECONDS;
  try {
    return await runtime.open(id, { ...asked.needs, projectId, attemptNo, network, maxSeconds, signal });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof WorkspaceLostError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new TaskFailedError('SANDBOX_FAILED', `The workspace could not be made: ${why}`, { retryable: true });
  }
}

/** Waits out a remote that does not answer for a moment; what it refuses is refused. */
async function checkOut(
  checkout: CheckoutTasks,
  given: {
    readonly project: Project;
    readonly place: Place;
    readonly branch: string;
    readonly cache: string;
    readonly signal: AbortSignal;
  },
): Promise<Checkout> {
  const { project, place, branch, cache, signal } = given;
  for (let tries = 0; ; tries += 1) {
    const found = await checkout.prepareCheckout({
      ...{ branch, cache },
      // A branch that is asked for and is not there is no reason to take another one.
      defaultBranch: typeof place.branch === 'string' ? branch : project.defaultBranch,
      ...(typeof place.commit === 'string' ? { commit: place.commit } : {}),
    });
    if (found.ok) return found;
    signal.throwIfAborted();
    const pauseMs = CLONE_PAUSES_MS[tries];
    const mayPass = found.kind === 'UNREACHABLE' || found.kind === 'ABORTED';
    if (!mayPass || pauseMs === undefined) {
      throw new TaskFailedError('GIT_CLONE_FAILED', found.message, { retryable: mayPass });
    }
    await delay(pauseMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
