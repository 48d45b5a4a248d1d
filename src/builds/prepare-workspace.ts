/** Phase 1: a fresh checkout on the right branch, the template's files where the repository is empty. */

import { join } from 'node:path/posix';
import { setTimeout as delay } from 'node:timers/promises';
import type { Checkout } from '../git/clone-repository.ts';
import type { GitFailure } from '../git/git-failure.ts';
import { renderFiles } from '../projects/render-template.ts';
import { failpoint } from '../std/failpoint.ts';
import { failure } from './build-result.ts';
import { BuildFailedError, type RunBuildDeps, type RunningBuild } from './running-build.ts';
import { withdrawal } from './withdrawal.ts';

/** Between tries to reach the remote. */
const CLONE_PAUSES_MS = [500, 2_000, 5_000];

export async function prepareWorkspace(deps: RunBuildDeps, running: RunningBuild): Promise<void> {
  const { build, ledger, workspace } = running;
  const { branch } = build.spec;
  await failpoint('prepare.begin');
  const checkout = await checkOut(running);
  await failpoint('prepare.cloned');
  const own = await running.checkout.createAgentRepository({ branch, baseSha: checkout.baseSha });
  if (!own.ok) throw refused(running, own);
  if (checkout.baseSha === null && running.template) {
    await workspace.write(renderFiles(running.template, build.spec.variables));
  }
  const earlier = ledger.checkpoint.sessionLost ? null : build.spec.resumeSessionOf;
  const resumed = earlier && (await deps.runtime.copyHome(earlier, build.id));
  const warning = 'The session of the earlier build is no longer on this worker: the agent begins anew.';
  await ledger.write({
    baseSha: checkout.baseSha,
    checkpoint: {
      branchSha: checkout.branchSha,
      sessionCopied: resumed === true,
      sessionId: null,
      agentStartedAt: null,
      earlierUsage: ledger.usage,
      pausedSession: null,
      resumedSession: null,
      spoolOffset: null,
      noticesPublished: null,
      agentOutcome: null,
      interrupting: false,
      turn: null,
      runNo: (ledger.checkpoint.runNo ?? 0) + 1,
    },
    ...withdrawal(build),
    events: earlier && !resumed ? [{ type: 'WARNING', data: { message: warning } }] : [],
  });
  await failpoint('prepare.recorded');
}

/** Waits out a remote that does not answer for a moment; what it refuses is refused. */
async function checkOut(running: RunningBuild): Promise<Checkout> {
  const { build, project, workspace, signal } = running;
  for (let tries = 0; ; tries += 1) {
    const checkout = await running.checkout.prepareCheckout({
      branch: build.spec.branch,
      defaultBranch: project.defaultBranch,
      cache: join(workspace.paths.cache, `${project.id}.git`),
    });
    if (checkout.ok) return checkout;
    const pauseMs = CLONE_PAUSES_MS[tries];
    const mayPass = checkout.kind === 'UNREACHABLE' || checkout.kind === 'ABORTED';
    if (!mayPass || pauseMs === undefined) throw refused(running, checkout);
    await delay(pauseMs, undefined, { signal });
  }
}

function refused({ signal }: RunningBuild, { message }: GitFailure): Error {
  signal.throwIfAborted();
  return new BuildFailedError(failure('GIT_CLONE_FAILED', 'PREPARING', message));
}
