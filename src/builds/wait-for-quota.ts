/** A rate limit puts the build back: its slot is free while it waits, and its agent goes on where it was. */
import type { AgentOutcome } from '../agents/agent.ts';
import { addUsage } from '../events/usage.ts';
import { failpoint } from '../std/failpoint.ts';
import type { PausedSession } from './checkpoint.ts';
import { Interrupt, type RunBuildDeps, type RunningBuild } from './running-build.ts';

/** A build is put back so often; the next rate limit ends it. */
const MAX_WAITS = 8;
const FIRST_WAIT_SECONDS = 60;
const MAX_WAIT_SECONDS = 30 * 60;
/** Whatever a provider asks for, it is tried again after this long. */
const MAX_RETRY_AFTER_SECONDS = 6 * 60 * 60;

/**
 * Puts the build back if a rate limit ended its agent; false when it did not, or did so too often. Throws an Interrupt
 * when somebody wants it cancelled.
 */
export async function waitForQuota(
  { runtime }: Pick<RunBuildDeps, 'runtime'>,
  running: RunningBuild,
  outcome: AgentOutcome,
): Promise<boolean> {
  const { build, agent, ledger, credentials } = running;
  if (outcome.status !== 'failed' || outcome.reason !== 'rate_limit' || build.quotaWaits >= MAX_WAITS) return false;
  const session = sessionOf(running, outcome, 'QUOTA');
  const paused = session.id === null ? null : session;
  // An agent that cannot go on begins anew, on a fresh checkout.
  if (!paused) await runtime.close(build.id, { keepHome: false, attemptNo: build.attemptNo });
  await failpoint('quota.begin');
  const waits = await ledger.waitForQuota({
    key: { provider: agent.name, variable: agent.modelKey?.variable ?? null, credential: credentials.keyIdentity },
    seconds: waitSeconds(build.quotaWaits, outcome.retryAfterSeconds ?? null),
    message: outcome.message ?? 'The provider refused the agent because of a rate limit.',
    paused,
  });
  if (!waits) throw new Interrupt('cancelled');
  await failpoint('quota.committed');
  return true;
}

/**
 * How long to wait the next time, after `waits` times: what the provider asks for, else 1, 2, 4 … 30 minutes, each up to
 * a quarter shorter or longer.
 */
export function waitSeconds(waits: number, retryAfterSeconds: number | null, random = Math.random): number {
  if (retryAfterSeconds !== null) return Math.min(Math.max(1, retryAfterSeconds), MAX_RETRY_AFTER_SECONDS);
  return Math.min(FIRST_WAIT_SECONDS * 2 ** waits, MAX_WAIT_SECONDS) * (0.75 + random() / 2);
}

/** What the agent goes on with after this outcome. */
export function sessionOf(
  { agent, build, ledger }: Pick<RunningBuild, 'agent' | 'build' | 'ledger'>,
  outcome: AgentOutcome,
  why: PausedSession['why'],
): PausedSession {
  const { resume, messages } = agent.capabilities;
  // On its own checkout an agent that is given messages after its turn goes on, even if no later build can.
  const takesMessages = why === 'MESSAGE' && messages.includes('QUEUE');
  const { agentStartedAt, resumedSession } = ledger.checkpoint;
  // What was used before belongs to the session that was gone on with, not to one that began anew.
  const before = resumedSession?.id ? resumedSession.usage : null;
  return {
    id: resume || takesMessages ? outcome.sessionId : null,
    why,
    workerId: build.workerId,
    usage: outcome.usage ? addUsage(before, outcome.usage) : before,
    // When an agent that was lost had died, nobody knows.
    ranMs: agentStartedAt && why !== 'LOST' ? Math.max(0, Date.now() - Date.parse(agentStartedAt)) : 0,
  };
}

/** The session that was paused on this machine; null when there is none, or it is on another machine. */
export async function findPausedSession({ ledger }: RunningBuild): Promise<PausedSession | null> {
  const paused = ledger.checkpoint.pausedSession ?? null;
  if (!paused) return null;
  return (await ledger.ask('isBeside', { workerId: paused.workerId })) ? paused : null;
}
