/**
 * The table of contents of a build's life: every branch between the claim and the end is here. An attempt may find
 * what an earlier one left: a run to re-attach to, an outcome to publish, a push to confirm. It goes on from there.
 */
import type { AgentOutcome } from '../agents/agent.ts';
import { gitEnvironment } from '../config/config.ts';
import { SupersededError } from '../errors.ts';
import { isLocalPath } from '../git/remote-url.ts';
import { REPOSITORY_OUT_OF_REACH } from '../projects/pod-limits.ts';
import { openRepository } from '../projects/repository.ts';
import { findTemplate } from '../projects/template.ts';
import { type WorkspaceNeeds, workspaceNeeds } from '../projects/workspace-needs.ts';
import { createRedactor } from '../runtimes/redact.ts';
import { type LossReason, WorkspaceLostError } from '../runtimes/workspace-lost.ts';
import { readDiskSpace } from '../std/disk-space.ts';
import { failpoint } from '../std/failpoint.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import { agentFailure } from './agent-failure.ts';
import { runAgentPhase } from './agent-phase.ts';
import type { ClaimedBuild } from './build.ts';
import { type FailureReason, failure } from './build-result.ts';
import { readBuildSecrets } from './build-secrets.ts';
import { openCheckout } from './checkout-work.ts';
import { collectArtifacts, recoverArtifacts } from './collect-artifacts.ts';
import { openDistantCheckout } from './distant-checkout.ts';
import type { Doorbell } from './doorbell.ts';
import type { Conclusion } from './finish-build.ts';
import { explainFullDisk } from './full-disk.ts';
import type { Ledger } from './ledger.ts';
import { HOME_SECRETS } from './npm-config.ts';
import { confirmPush, publishChanges } from './publish-changes.ts';
import { BuildFailedError, Interrupt, type RunBuildDeps, type RunningBuild } from './running-build.ts';
import { waitForQuota } from './wait-for-quota.ts';

/** Of one git command. */
const GIT_TIMEOUT_MS = 10 * 60_000;
/** What a build may need for clone, push and artifacts. */
const BESIDE_THE_AGENT_SECONDS = 60 * 60;

/**
 * Runs one claimed build to its end, or until `interrupt` (its reason is an Interrupt) ends the attempt; resolves with what became of the attempt. Never
 * rejects for anything that a build can do wrong.
 */
export async function runBuild(
  deps: RunBuildDeps,
  build: ClaimedBuild,
  { interrupt, bell }: { readonly interrupt: AbortSignal; readonly bell: Doorbell },
): Promise<'finished' | 'released' | 'superseded' | 'left'> {
  const ledger = deps.openLedger(build);
  const signal = untilIntended(interrupt, ledger);
  const { logger: log } = deps;
  try {
    const conclusion = await conclude(deps, build, { ledger, signal, bell });
    if (conclusion === null) {
      log.info('the build waits for its provider');
      return 'released';
    }
    await failpoint('finish.begin');
    await ledger.finish(conclusion);
    await failpoint('finish.committed');
    log.info({ status: conclusion.status }, 'the build has ended');
    // Its end is told already: a folder that cannot be removed now is the janitor's.
    await cleanUp(deps, build).catch((error: unknown) => log.warn({ error }, 'the workspace could not be removed'));
    await failpoint('finish.cleaned');
    return 'finished';
  } catch (error) {
    const reason = error instanceof Interrupt ? error.reason : interruptOf(signal);
    if (error instanceof SupersededError || reason === 'superseded') return 'superseded';
    if (reason === 'left') return 'left';
    if (reason === 'cut_off') {
      // What is in the workspace may be another worker's by now.
      await ledger.release('The worker had lost the database; the build begins anew.');
      return 'released';
    }
    if (error instanceof WorkspaceLostError) {
      // What is left of it takes up room until it is gone; what cannot be removed now is removed by the next attempt.
      await deps.runtime
        .close(build.id, { keepHome: false, attemptNo: build.attemptNo })
        .catch((problem: unknown) => log.warn({ error: problem }, 'the lost workspace could not be removed'));
      return ledger.loseWorkspace(error.message);
    }
    if (reason !== 'released') throw error;
    await failpoint('release.begin');
    if (!deps.runtime.closeEnds) await deps.runtime.sweep(build.id, build.attemptNo);
    await deps.runtime.close(build.id, { keepHome: false, attemptNo: build.attemptNo });
    await failpoint('release.closed');
    await ledger.release('The worker is shutting down; the build goes on with another one.');
    await failpoint('release.committed');
    return 'released';
  }
}

type AttemptTools = Pick<RunningBuild, 'ledger' | 'signal' | 'bell'>;

/** How the build ends; null when it waits for its provider instead. Throws SupersededError, and whatever interrupts it unless that is a cancellation. */
async function conclude(deps: RunBuildDeps, build: ClaimedBuild, attempt: AttemptTools): Promise<Conclusion | null> {
  const { ledger, signal } = attempt;
  try {
    if (build.cancelRequestedAt && !build.pushIntentSha) throw new Interrupt('cancelled');
    const running = await openRunningBuild(deps, build, attempt);
    const conclusion = await runPhases(deps, running);
    if (conclusion === null) return null;
    // Who has cancelled was not told that it was too late.
    if (interruptOf(signal) === 'cancelled') throw new Interrupt('cancelled');
    if (conclusion.status !== 'FAILED') return conclusion;
    const disk = await running.checkout.readDiskSpace(null).catch(() => null);
    return { ...conclusion, failure: explainFullDisk(conclusion.failure, disk) };
  } catch (error) {
    if (error instanceof SupersededError) throw error;
    const interrupt = error instanceof Interrupt ? error.reason : interruptOf(signal);
    if (interrupt !== null && interrupt !== 'cancelled') throw error;
    if (!deps.holdsLeases()) throw new Interrupt('cut_off');
    if (interrupt === 'cancelled') return concludeCancelled(deps, build, ledger);
    // Nothing that carries the build's mark is alive when its end is told.
    await deps.runtime.sweep(build.id, build.attemptNo);
    if (error instanceof WorkspaceLostError) return concludeLoss(ledger, error);
    // Its commit may be on the remote: the next attempt asks there before it says how the build ended.
    if (ledger.pushIntended && !(error instanceof BuildFailedError)) throw error;
    const known = error instanceof BuildFailedError ? error.failure : null;
    const found = known ?? failure('INTERNAL', ledger.phase, 'Slipway failed unexpectedly.');
    // The workspace may be on another machine, and there is nobody left to ask.
    const disk = deps.runtime.reachesLocalPaths ? await readDiskSpace(deps.config.dataFolder).catch(() => null) : null;
    const explained = explainFullDisk(found, disk, error);
    if (explained.reason === 'INTERNAL') deps.logger.error({ error }, 'a build failed for no known reason');
    return { status: 'FAILED', result: {}, failure: explained };
  }
}

const LOSSES: Partial<Record<LossReason, FailureReason>> = {
  out_of_memory: 'OUT_OF_MEMORY',
  disk_full: 'WORKSPACE_FULL',
  deadline: 'TIMEOUT',
};

/** What the build itself has done to its workspace ends it; otherwise another attempt begins anew. */
function concludeLoss(ledger: Ledger, error: WorkspaceLostError): Conclusion {
  const reason = LOSSES[error.reason];
  if (reason === undefined || ledger.pushIntended) throw error;
  return { status: 'FAILED', result: {}, failure: failure(reason, ledger.phase, error.message) };
}

/** Nothing of the build is alive when its end is told; where closing its workspace ends it, that is gone, too. */
async function concludeCancelled(
  { runtime }: RunBuildDeps,
  { id, attemptNo }: ClaimedBuild,
  ledger: Ledger,
): Promise<Conclusion> {
  if (runtime.closeEnds) await runtime.close(id, { keepHome: false, attemptNo });
  else await runtime.sweep(id, attemptNo);
  return { status: 'CANCELLED', result: {}, reason: await ledger.ask('cancelReason') };
}

async function runPhases(deps: RunBuildDeps, running: RunningBuild): Promise<Conclusion | null> {
  const { build, ledger } = running;
  if (build.pushIntentSha) {
    await ledger.write({ phase: 'PUBLISHING' });
    const said = agentResult(ledger, build.checkpoint.agentOutcome ?? null);
    const confirmed = await confirmPush(running);
    await ledger.write({ phase: 'COLLECTING' });
    return { status: 'COMPLETED', result: { ...said, ...confirmed, artifacts: await recoverArtifacts(running) } };
  }
  const outcome = await runAgentPhase(deps, running);
  const said = agentResult(ledger, outcome);
  if (await waitForQuota(deps, running, outcome)) return null;
  if (outcome.status !== 'succeeded') {
    return { status: 'FAILED', result: said, failure: agentFailure(outcome, running.build.spec.provider) };
  }
  const published = await publishChanges(running);
  if (published.failure)
    return { status: 'FAILED', result: { ...said, ...published.result }, failure: published.failure };
  await ledger.write({ phase: 'COLLECTING' });
  const artifacts = [...(published.result.artifacts ?? []), ...(await collectArtifacts(running))];
  return { status: 'COMPLETED', result: { ...said, ...published.result, artifacts } };
}

async function openRunningBuild(
  deps: RunBuildDeps,
  build: ClaimedBuild,
  { ledger, signal, bell }: AttemptTools,
): Promise<RunningBuild> {
  const { spec } = build;
  const project = await ledger.ask('project');
  const agent = deps.agents.get(spec.provider);
  const template = spec.template ? findTemplate(deps.templates, spec.template) : null;
  if (!project) throw new BuildFailedError(failure('INTERNAL', 'PREPARING', 'The project is gone.'));
  if (!agent) {
    const message = `This worker has no agent ${spec.provider}. It has: ${[...deps.agents.keys()].join(', ')}.`;
    throw new BuildFailedError(failure('PROVIDER_UNAVAILABLE', 'PREPARING', message));
  }
  if (spec.template && !template) {
    throw new BuildFailedError(failure('INVALID_SPEC', 'PREPARING', `This worker has no template ${spec.template}.`));
  }
  const asked = workspaceNeeds(deps.config, { project, template });
  if (!asked.ok) throw new BuildFailedError(failure('INVALID_SPEC', 'PREPARING', asked.message));
  const credentials = await readBuildSecrets(deps, ledger, agent);
  const redact = createRedactor(credentials.all);
  ledger.protect(redact);
  const remote = await openRepository(deps.config, project, credentials.git);
  if (!deps.runtime.reachesLocalPaths && isLocalPath(remote.url)) {
    throw new BuildFailedError(failure('INVALID_SPEC', 'PREPARING', REPOSITORY_OUT_OF_REACH));
  }
  const open = () => openWorkspace(deps, build, { ledger, signal, asked: asked.needs });
  const workspace = await open();
  const allowLocal = deps.config.localRepositories ?? false;
  const context = { workspace, remote, signal, timeoutMs: GIT_TIMEOUT_MS, environment: gitEnvironment(), allowLocal };
  return {
    build,
    project,
    template,
    agent,
    ledger,
    workspace,
    reopen: async () => void (await open()),
    checkout: workspace.isLocal ? openCheckout(context) : openDistantCheckout(context),
    remote,
    credentials,
    redact,
    holdsLeases: deps.holdsLeases,
    bell,
    signal,
  };
}

async function openWorkspace(
  { runtime }: RunBuildDeps,
  { id, projectId, attemptNo, spec }: ClaimedBuild,
  { ledger, signal, asked }: Pick<AttemptTools, 'ledger' | 'signal'> & { readonly asked: WorkspaceNeeds },
) {
  const needs = {
    ...asked,
    projectId,
    attemptNo,
    network: spec.network ?? ALL_OF_THE_NETWORK,
    maxSeconds: spec.limits.wallSeconds + BESIDE_THE_AGENT_SECONDS,
    signal,
    onWait: (message: string) =>
      void ledger.write({ events: [{ type: 'WARNING', data: { message } }] }).catch(() => {}),
  };
  try {
    return await runtime.open(id, needs);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof WorkspaceLostError || error instanceof SupersededError) throw error;
    const message = `The workspace could not be made: ${error instanceof Error ? error.message : String(error)}`;
    throw new BuildFailedError(failure('SANDBOX_FAILED', 'PREPARING', message));
  }
}

function agentResult({ usage }: Ledger, outcome: AgentOutcome | null) {
  if (!outcome) return {};
  return { output: outcome.finalText || null, sessionId: outcome.sessionId, usage: usage ?? outcome.usage };
}

async function cleanUp(deps: RunBuildDeps, { id, spec }: ClaimedBuild): Promise<void> {
  const keepHome = deps.agents.get(spec.provider)?.capabilities.resume ?? false;
  await deps.runtime.close(id, { keepHome, forget: HOME_SECRETS });
}

/** Follows `interrupt`, but nobody lets go of a build whose commit is on its way: that takes seconds, and only we have it. */
function untilIntended(interrupt: AbortSignal, ledger: Ledger): AbortSignal {
  const attempt = new AbortController();
  const follow = () => {
    const reason = interruptOf(interrupt);
    const mayWait = reason === 'released' || reason === 'left' || reason === 'cut_off';
    if (!(ledger.pushIntended && mayWait)) attempt.abort(interrupt.reason);
  };
  if (interrupt.aborted) follow();
  else interrupt.addEventListener('abort', follow, { once: true });
  return attempt.signal;
}

function interruptOf(signal: AbortSignal): Interrupt['reason'] | null {
  return signal.reason instanceof Interrupt ? signal.reason.reason : null;
}
