/** The agent's part of a build: from a checkout to what the agent has done with it, over as many runs as that takes. */
import type { AgentOutcome } from '../agents/agent.ts';
import { addUsage } from '../events/usage.ts';
import type { Run } from '../runtimes/runtime.ts';
import { failpoint } from '../std/failpoint.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import type { ClaimedBuild } from './build.ts';
import { failure } from './build-result.ts';
import type { PausedSession } from './checkpoint.ts';
import { refuseWithoutBudget } from './left-of-limits.ts';
import { prepareWorkspace } from './prepare-workspace.ts';
import { runAgent } from './run-agent.ts';
import { BuildFailedError, Interrupt, type RunBuildDeps, type RunningBuild } from './running-build.ts';
import { findPausedSession, sessionOf } from './wait-for-quota.ts';
import { withdrawal } from './withdrawal.ts';

/**
 * What the agent has done, of an earlier attempt on this machine or now. It is run again for what people told it, and
 * begins anew without a session that it does not know.
 */
export async function runAgentPhase(deps: RunBuildDeps, running: RunningBuild): Promise<AgentOutcome> {
  let outcome = await firstOutcome(deps, running);
  // Ends: a session is given up once, and a build has at most MAX_MESSAGES messages.
  while ((await goOn(deps, running, outcome)) || (await giveUpSession(deps, running, outcome))) {
    outcome = await runOnce(deps, running);
  }
  return outcome;
}

/** Prepares the workspace and runs the agent, unless an earlier attempt on this machine has done so. */
async function firstOutcome(deps: RunBuildDeps, running: RunningBuild): Promise<AgentOutcome> {
  const { build, workspace } = running;
  const left = await workspace.attach(running.redact);
  if (left && build.checkpoint.agentOutcome) {
    // A git command of the earlier attempt may still be at it.
    await deps.runtime.sweep(build.id, build.attemptNo);
    return build.checkpoint.agentOutcome;
  }
  const paused = left && (await findPausedSession(running));
  if (paused) await resumeSession(deps, running, paused);
  else if (left && !build.checkpoint.pausedSession) return leftOutcome(deps, running, left);
  else await beginAnew(deps, running, left !== null);
  return runOnce(deps, running);
}

/**
 * Of the run that an earlier attempt left on this machine. One that was killed together with its worker says nothing about
 * the task: the agent goes on with its session, or begins anew where it cannot.
 */
async function leftOutcome(deps: RunBuildDeps, running: RunningBuild, left: Run): Promise<AgentOutcome> {
  const { build, agent, ledger } = running;
  const ended = await left.exitStatus();
  const isKilled = ended !== null && ended.kind !== 'exited';
  if (!isKilled || build.checkpoint.interrupting) return runOnce(deps, running);
  if (!agent.capabilities.resume) {
    await beginAnew(deps, running, true);
    return runOnce(deps, running);
  }
  await ledger.write({ phase: 'AGENT' });
  // What it had still said, its session among it.
  const outcome = await runAgent(deps, running);
  running.signal.throwIfAborted();
  if (outcome.status === 'succeeded') return record(deps, running, outcome);
  const session = sessionOf(running, outcome, 'LOST');
  if (session.id === null) await beginAnew(deps, running, true);
  else await resumeSession(deps, running, session);
  return runOnce(deps, running);
}

/** Makes ready for another run when people have told the agent something that it has not heard. */
async function goOn(deps: RunBuildDeps, running: RunningBuild, outcome: AgentOutcome): Promise<boolean> {
  const { ledger } = running;
  const isKilled = outcome.status === 'failed' && outcome.reason === 'crash';
  const interrupted = outcome.status === 'cancelled' || (isKilled && ledger.checkpoint.interrupting === true);
  if (outcome.status !== 'succeeded' && !interrupted) return false;
  const session = sessionOf(running, outcome, 'MESSAGE');
  if (!(await ledger.takeTurn({ interrupted, session }))) return false;
  await failpoint('turn.taken');
  await resumeSession(deps, running, session);
  await failpoint('turn.begun');
  return true;
}

/** Makes ready for a run without the session that the agent does not know; false when it was given none. */
async function giveUpSession(deps: RunBuildDeps, running: RunningBuild, outcome: AgentOutcome): Promise<boolean> {
  if (outcome.reason !== 'not_found') return false;
  const { ledger } = running;
  const { resumedSession, sessionCopied, sessionLost } = ledger.checkpoint;
  if (resumedSession?.id && resumedSession.why === 'MESSAGE') {
    // Its changes are there, whatever became of its memory.
    await resumeSession(deps, running, { ...resumedSession, id: null });
    return true;
  }
  if (!resumedSession && !sessionCopied) return false;
  const message = 'The agent does not know the session of the earlier build any more: it begins anew, without it.';
  if (!resumedSession && !sessionLost) {
    await ledger.write({ checkpoint: { sessionLost: true }, events: [{ type: 'WARNING', data: { message } }] });
  }
  await beginAnew(deps, running, true);
  return true;
}

/** A fresh checkout; what an earlier attempt has left goes before. */
async function beginAnew(deps: RunBuildDeps, running: RunningBuild, isUsed: boolean): Promise<void> {
  const { build } = running;
  await checkStart(deps, running);
  if (isUsed)
    await deps.runtime.close(build.id, { keepHome: false, attemptNo: build.attemptNo }).then(() => running.reopen());
  await prepareWorkspace(deps, running);
  await running.checkout.writeNpmConfig(running.credentials.registries);
}

/** The checkout as the agent left it, and its session. */
async function resumeSession(deps: RunBuildDeps, running: RunningBuild, session: PausedSession): Promise<void> {
  await checkStart(deps, running);
  await running.workspace.forgetRun();
  await running.ledger.write({
    checkpoint: {
      pausedSession: null,
      resumedSession: session,
      sessionId: session.id,
      agentStartedAt: new Date(Date.now() - session.ranMs).toISOString(),
      earlierUsage: running.ledger.usage,
      spoolOffset: null,
      noticesPublished: null,
      agentOutcome: null,
      interrupting: false,
      runNo: (running.ledger.checkpoint.runNo ?? 0) + 1,
    },
    ...withdrawal(running.build),
  });
}

/** Throws BuildFailedError when the agent may not be started. */
async function checkStart(deps: RunBuildDeps, running: RunningBuild): Promise<void> {
  checkNetwork(deps, running.build);
  if (!deps.holdsLeases()) throw new Interrupt('cut_off');
  await deps.runtime.sweep(running.build.id, running.build.attemptNo);
  if (running.credentials.problem) throw new BuildFailedError(running.credentials.problem);
  await refuseWithoutBudget(running);
}

async function runOnce(deps: RunBuildDeps, running: RunningBuild): Promise<AgentOutcome> {
  await running.ledger.write({ phase: 'AGENT' });
  return record(deps, running, await runAgent(deps, running));
}

/** From here on the agent is not run again for this outcome. */
async function record(deps: RunBuildDeps, running: RunningBuild, outcome: AgentOutcome): Promise<AgentOutcome> {
  const { build, ledger } = running;
  await failpoint('agent.ended');
  if (!deps.holdsLeases()) throw new Interrupt('cut_off');
  // Only now may git look at the checkout: nothing of the agent writes to it any more.
  await deps.runtime.sweep(build.id, build.attemptNo);
  running.signal.throwIfAborted();
  const usage = outcome.usage && addUsage(ledger.checkpoint.earlierUsage ?? null, outcome.usage);
  // Whatever it has asked, it waits for no answer any more.
  await ledger.write({ checkpoint: { agentOutcome: outcome }, usage, ...withdrawal(build) });
  await failpoint('agent.recorded');
  return outcome;
}

/** A limit that cannot be kept is not forgotten: the build does not run. */
function checkNetwork({ runtime }: RunBuildDeps, { spec }: ClaimedBuild): void {
  const problem = runtime.networkProblem(spec.network ?? ALL_OF_THE_NETWORK);
  if (problem !== null) throw new BuildFailedError(failure('SANDBOX_UNAVAILABLE', 'PREPARING', problem));
}
