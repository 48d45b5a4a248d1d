/** Phase 1: a fresh checkout on the right branch, the template's files where the repository is empty. */
import { createAgentRepository } from '../git/agent-repository.ts';
import { prepareCheckout } from '../git/clone-repository.ts';
import type { GitFailure } from '../git/git.ts';
import { renderFiles } from '../projects/render-template.ts';
import { repositoryCachePath } from '../projects/repository.ts';
import { failure } from './build-result.ts';
import { BuildFailedError, type RunBuildDeps, type RunningBuild } from './running-build.ts';

export async function prepareWorkspace(deps: RunBuildDeps, running: RunningBuild): Promise<void> {
  const { build, project, ledger, git, workspace } = running;
  const { branch } = build.spec;
  const checkout = await prepareCheckout(git, {
    branch,
    defaultBranch: project.defaultBranch,
    cache: repositoryCachePath(deps.config, project.id),
  });
  if (!checkout.ok) throw refused(running, checkout);
  const own = await createAgentRepository(git, { branch, baseSha: checkout.baseSha });
  if (!own.ok) throw refused(running, own);
  if (checkout.baseSha === null && running.template) {
    await workspace.write(renderFiles(running.template, build.spec.variables));
  }
  const resumed = build.spec.resumeSessionOf && (await deps.runtime.copyHome(build.spec.resumeSessionOf, build.id));
  const warning = 'The session of the earlier build is no longer on this worker: the agent begins anew.';
  await ledger.write({
    baseSha: checkout.baseSha,
    checkpoint: {
      branchSha: checkout.branchSha,
      sessionCopied: resumed === true,
      sessionId: null,
      agentStartedAt: null,
      spoolOffset: null,
      agentOutcome: null,
    },
    events: build.spec.resumeSessionOf && !resumed ? [{ type: 'WARNING', data: { message: warning } }] : [],
  });
}

function refused({ signal }: RunningBuild, { message }: GitFailure): Error {
  signal.throwIfAborted();
  return new BuildFailedError(failure('GIT_CLONE_FAILED', 'PREPARING', message));
}
