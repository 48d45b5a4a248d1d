/**
 * What is done with a build's checkout, by name. It is done where the checkout is: in this process, or by
 * `checkout-program.ts` beside it. Arguments and answers are data, so that they can travel.
 */
import { agentMovedHead, createAgentRepository } from '../git/agent-repository.ts';
import { bundleCommit } from '../git/bundle.ts';
import { prepareCheckout } from '../git/clone-repository.ts';
import { commitChanges, readWorkTreeChanges } from '../git/commit-changes.ts';
import { findSecrets } from '../git/find-secrets.ts';
import type { GitContext } from '../git/git.ts';
import { packCommit, unpackCommit } from '../git/pack-commit.ts';
import { isInWorkspace, isOnRemote, pushCommit } from '../git/push-commit.ts';
import { rebaseCommit } from '../git/rebase-commit.ts';
import { readDiskSpace } from '../std/disk-space.ts';
import { inSpan } from '../telemetry/trace-scope.ts';
import { findDeclaredFiles } from './declared-files.ts';
import { writeNpmConfig } from './npm-config.ts';

const CHECKOUT_WORK = {
  prepareCheckout,
  createAgentRepository,
  agentMovedHead,
  readWorkTreeChanges,
  commitChanges,
  findSecrets,
  packCommit,
  unpackCommit,
  bundleCommit,
  isInWorkspace,
  isOnRemote,
  pushCommit,
  rebaseCommit,
  findDeclaredFiles: ({ workspace }: GitContext, request: Parameters<typeof findDeclaredFiles>[1]) =>
    findDeclaredFiles(workspace.paths.work, request),
  writeNpmConfig: ({ workspace }: GitContext, registries: Parameters<typeof writeNpmConfig>[1]) =>
    writeNpmConfig(workspace, registries),
  readDiskSpace: ({ workspace }: GitContext, _none: null) => readDiskSpace(workspace.paths.root),
};

type CheckoutWork = typeof CHECKOUT_WORK;
export type CheckoutTask = keyof CheckoutWork;

/** The work on one checkout. */
export type CheckoutTasks = {
  readonly [Task in CheckoutTask]: (request: Parameters<CheckoutWork[Task]>[1]) => ReturnType<CheckoutWork[Task]>;
};

export function isCheckoutTask(name: string): name is CheckoutTask {
  return Object.hasOwn(CHECKOUT_WORK, name);
}

/** Does it in this process. */
export function openCheckout(context: GitContext): CheckoutTasks {
  return openTasks((task, request) => (CHECKOUT_WORK[task] as (...both: unknown[]) => unknown)(context, request));
}

/** Each task is given to `run`, and is a span of the build's trace. */
export function openTasks(run: (task: CheckoutTask, request: unknown) => unknown): CheckoutTasks {
  const tasks = Object.keys(CHECKOUT_WORK) as CheckoutTask[];
  const traced = (task: CheckoutTask, request: unknown) =>
    inSpan({ name: `checkout.${task}` }, async (scope) => {
      const answer = await run(task, request);
      if (isRefusal(answer)) scope?.fail(answer.kind);
      return answer;
    });
  return Object.fromEntries(tasks.map((task) => [task, (request: unknown) => traced(task, request)])) as CheckoutTasks;
}

/** A GitFailure, or what looks like one. */
function isRefusal(answer: unknown): answer is { readonly kind: string } {
  return typeof answer === 'object' && answer !== null && 'ok' in answer && answer.ok === false && 'kind' in answer;
}
