/**
 * The table of contents of a build's life: every branch between the claim and the end is here. An attempt may find
 * what an earlier one left: a run to re-attach to, an outcome to publish, a push to confirm. It goes on from there.
 */
import type { AgentOutcome } from '../agents/agent.ts';
import { gitEnvironment } from '../config/config.ts';
import type { Database } from '../database/database.ts';
import { findProject } from '../projects/project.ts';
import { openRepository } from '../projects/repository.ts';
import { findTemplate } from '../projects/template.ts';
import { createRedactor } from '../runtimes/redact.ts';
import { toPublicId } from '../std/public-id.ts';
import { agentFailure } from './agent-failure.ts';
import type { ClaimedBuild } from './build.ts';
import { failure } from './build-result.ts';
import { buildSecrets } from './build-secrets.ts';
import { collectArtifacts, recoverArtifacts } from './collect-artifacts.ts';
import type { Conclusion } from './finish-build.ts';
import { Ledger, SupersededError } from './ledger.ts';
import { prepareWorkspace } from './prepare-workspace.ts';
import { confirmPush, publishChanges } from './publish-changes.ts';
import { runAgent } from './run-agent.ts';
import { BuildFailedError, Interrupt, type RunBuildDeps, type RunningBuild } from './running-build.ts';

/** Of one git command. */
const GIT_TIMEOUT_MS = 10 * 60_000;

/**
 * Runs one claimed build to its end, or until `interrupt` (its reason is an Interrupt) ends the attempt; resolves with what became of the attempt. Never
 * rejects for anything that a build can do wrong.
 */
export async function runBuild(
  deps: RunBuildDeps,
  build: ClaimedBuild,
  interrupt: AbortSignal,
): Promise<'finished' | 'released' | 'superseded'> {
  const ledger = new Ledger(deps, build);
  const signal = untilIntended(interrupt, ledger);
  const log = deps.logger.child({ build: toPublicId('build', build.id), attempt: build.attemptNo });
  try {
    const conclusion = await conclude(deps, build, ledger, signal);
    await ledger.finish(conclusion);
    log.info({ status: conclusion.status }, 'the build has ended');
    // Its end is told already: a folder that cannot be removed now is the janitor's.
    await cleanUp(deps, build).catch((error: unknown) => log.warn({ error }, 'the workspace could not be removed'));
    return 'finished';
  } catch (error) {
    if (error instanceof SupersededError || interruptOf(signal) === 'superseded') return 'superseded';
    if (interruptOf(signal) !== 'released') throw error;
    await deps.runtime.sweep(build.id);
    await (await deps.runtime.open(build.id)).close({ keepHome: false });
    await ledger.release('The worker is shutting down; the build goes on with another one.');
    return 'released';
  }
}

/** How the build ends. Throws SupersededError, and whatever interrupts it unless that is a cancellation. */
async function conclude(
  deps: RunBuildDeps,
  build: ClaimedBuild,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<Conclusion> {
  try {
    if (build.cancelRequestedAt && !build.pushIntentSha) throw new Interrupt('cancelled');
    const running = await openRunningBuild(deps, build, ledger, signal);
    return await runPhases(deps, running);
  } catch (error) {
    if (error instanceof SupersededError) throw error;
    const interrupt = error instanceof Interrupt ? error.reason : interruptOf(signal);
    if (interrupt === 'superseded' || interrupt === 'released') throw error;
    // Nothing that carries the build's mark is alive when its end is told.
    await deps.runtime.sweep(build.id);
    if (interrupt === 'cancelled')
      return { status: 'CANCELLED', result: {}, reason: await cancelReason(ledger, build.id) };
    if (error instanceof BuildFailedError) return { status: 'FAILED', result: {}, failure: error.failure };
    deps.logger.error({ error, build: build.id }, 'a build failed for no known reason');
    return { status: 'FAILED', result: {}, failure: failure('INTERNAL', ledger.phase, 'Slipway failed unexpectedly.') };
  }
}

/** Who cancels says why after the claim. */
async function cancelReason(ledger: Ledger, id: string): Promise<string | null> {
  const read = (db: Database) =>
    db.selectFrom('build_audit').select('cancel_reason').where('id', '=', id).executeTakeFirst();
  return (await ledger.read(read))?.cancel_reason ?? null;
}

async function runPhases(deps: RunBuildDeps, running: RunningBuild): Promise<Conclusion> {
  const { build, ledger } = running;
  if (build.pushIntentSha) {
    await ledger.write({ phase: 'PUBLISHING' });
    const said = agentResult(build.checkpoint.agentOutcome ?? null);
    const confirmed = await confirmPush(running);
    await ledger.write({ phase: 'COLLECTING' });
    return { status: 'COMPLETED', result: { ...said, ...confirmed, artifacts: await recoverArtifacts(deps, running) } };
  }
  const outcome = await agentOutcome(deps, running);
  const said = agentResult(outcome);
  if (outcome.status !== 'succeeded') {
    return { status: 'FAILED', result: said, failure: agentFailure(outcome, running.build.spec.provider) };
  }
  await ledger.write({ phase: 'VERIFYING' });
  const published = await publishChanges(deps, running);
  if (published.failure)
    return { status: 'FAILED', result: { ...said, ...published.result }, failure: published.failure };
  await ledger.write({ phase: 'COLLECTING' });
  const artifacts = [...(published.result.artifacts ?? []), ...(await collectArtifacts(deps, running))];
  return { status: 'COMPLETED', result: { ...said, ...published.result, artifacts } };
}

/** Prepares the workspace and runs the agent, unless an earlier attempt on this machine has done so. */
async function agentOutcome(deps: RunBuildDeps, running: RunningBuild): Promise<AgentOutcome> {
  const { build, workspace, ledger } = running;
  const left = await workspace.attach(running.redact);
  if (left && build.checkpoint.agentOutcome) return build.checkpoint.agentOutcome;
  const ended = left && (await left.exitStatus());
  // A run that was killed together with its worker says nothing about the task: it is started anew.
  const usable = left && (ended === null || ended.kind === 'exited');
  if (!usable) {
    await deps.runtime.sweep(build.id);
    if (left) await workspace.close({ keepHome: false }).then(() => deps.runtime.open(build.id));
    await prepareWorkspace(deps, running);
  }
  await ledger.write({ phase: 'AGENT' });
  const outcome = await runAgent(deps, running);
  // Only now may git look at the checkout: nothing of the agent writes to it any more.
  await deps.runtime.sweep(build.id);
  running.signal.throwIfAborted();
  await ledger.write({ checkpoint: { agentOutcome: outcome } });
  return outcome;
}

async function openRunningBuild(
  deps: RunBuildDeps,
  build: ClaimedBuild,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<RunningBuild> {
  const { spec } = build;
  const project = await ledger.read((db) => findProject(db, build.projectId));
  const agent = deps.agents.get(spec.provider);
  const template = spec.template ? findTemplate(deps.templates, spec.template) : null;
  if (!project) throw new BuildFailedError(failure('INTERNAL', 'PREPARING', 'The project is gone.'));
  if (!agent) {
    const message = `This worker has no agent ${spec.provider}.`;
    throw new BuildFailedError(failure('PROVIDER_UNAVAILABLE', 'PREPARING', message));
  }
  if (spec.template && !template) {
    throw new BuildFailedError(failure('INVALID_SPEC', 'PREPARING', `This worker has no template ${spec.template}.`));
  }
  const remote = await ledger.read((db) => openRepository({ ...deps, db }, project));
  const workspace = await openWorkspace(deps, build.id);
  return {
    build,
    project,
    template,
    agent,
    ledger,
    workspace,
    git: { workspace, remote, signal, timeoutMs: GIT_TIMEOUT_MS, environment: gitEnvironment() },
    redact: createRedactor(buildSecrets(deps, { project, remote })),
    signal,
  };
}

async function openWorkspace(deps: RunBuildDeps, buildId: string) {
  try {
    return await deps.runtime.open(buildId);
  } catch (error) {
    const message = `The workspace could not be made: ${error instanceof Error ? error.message : String(error)}`;
    throw new BuildFailedError(failure('SANDBOX_FAILED', 'PREPARING', message));
  }
}

function agentResult(outcome: AgentOutcome | null) {
  if (!outcome) return {};
  return { output: outcome.finalText || null, sessionId: outcome.sessionId, usage: outcome.usage };
}

async function cleanUp(deps: RunBuildDeps, { id, spec }: ClaimedBuild): Promise<void> {
  await (await deps.runtime.open(id)).close({ keepHome: deps.agents.get(spec.provider)?.capabilities.resume ?? false });
}

/** Follows `interrupt`, but nobody lets go of a build whose commit is on its way: that takes seconds, and only we have it. */
function untilIntended(interrupt: AbortSignal, ledger: Ledger): AbortSignal {
  const attempt = new AbortController();
  const follow = () => {
    if (!(ledger.pushIntended && interruptOf(interrupt) === 'released')) attempt.abort(interrupt.reason);
  };
  if (interrupt.aborted) follow();
  else interrupt.addEventListener('abort', follow, { once: true });
  return attempt.signal;
}

function interruptOf(signal: AbortSignal): Interrupt['reason'] | null {
  return signal.reason instanceof Interrupt ? signal.reason.reason : null;
}
