/** Phase 2: start the agent or re-attach to it, publish what it says, and end it when a limit is reached. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentEvent, AgentOutcome, AgentReason, AgentRun, StopReason } from '../agents/agent.ts';
import type { NewBuildEvent } from '../events/event.ts';
import { renderPrompt } from '../projects/render-template.ts';
import { failpoint } from '../std/failpoint.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import { type AgentClocks, startAgentClocks } from './agent-clocks.ts';
import { startEventBudget, toBuildEvent } from './agent-events.ts';
import { findBuild } from './build.ts';
import { failure } from './build-result.ts';
import type { Checkpoint } from './checkpoint.ts';
import { BuildFailedError, Interrupt, type RunBuildDeps, type RunningBuild } from './running-build.ts';

/** Batches with fewer lines than this gather for a moment before they are written. */
const SMALL_BATCH = 100;
const GATHER_MS = 50;
/** Bytes that an agent may print in all. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
const LOOK_AT_OUTPUT_EVERY_MS = 1_000;
/** The supervisor ends an agent that a worker should have ended long ago. */
const SUPERVISOR_GRACE_SECONDS = 5 * 60;
/** What an agent printed before it was ended is read for this long at most. */
const READ_AFTER_STOP_MS = 15_000;
/** No retry of the agent helps against these: it is ended at the first. */
const FAIL_FAST: ReadonlySet<AgentReason> = new Set(['auth', 'billing']);

/** Throws when the attempt is interrupted: by then the agent is dead, unless a successor owns it. */
export async function runAgent(deps: RunBuildDeps, running: RunningBuild): Promise<AgentOutcome> {
  const { signal } = running;
  const checkpoint = await chooseSession(running);
  await failpoint('agent.begin');
  signal.throwIfAborted();
  const detached = new AbortController();
  const run = await openRun(running, checkpoint, detached.signal);
  const end = endOnce(run, detached, (error) => deps.logger.error({ error }, 'an agent does not end'));
  const clocks = startAgentClocks({
    limits: running.build.spec.limits,
    startedAt: new Date(checkpoint.agentStartedAt ?? Date.now()),
    stop: end.because,
  });
  const watch = setInterval(async () => {
    if ((await run.outputBytes()) > MAX_OUTPUT_BYTES) end.because('output_limit');
  }, LOOK_AT_OUTPUT_EVERY_MS);
  const interrupt = () => {
    const reason = signal.reason instanceof Interrupt ? signal.reason.reason : 'released';
    if (reason === 'superseded' || reason === 'left') return detached.abort();
    end.because(reason === 'cut_off' ? 'released' : reason);
    // There is no time for manners.
    if (reason === 'cut_off') void deps.runtime.sweep(running.build.id).catch(() => {});
  };
  signal.addEventListener('abort', interrupt);
  try {
    if (signal.aborted) interrupt();
    await publishOutput(running, run, { clocks, end: end.because });
    signal.throwIfAborted();
    return judge(end.reason(), detached.signal.aborted ? null : run.outcome());
  } finally {
    clearInterval(watch);
    clocks.stop();
    signal.removeEventListener('abort', interrupt);
    detached.abort();
    await end.ended();
    end.dispose();
  }
}

async function publishOutput(
  running: RunningBuild,
  run: AgentRun,
  { clocks, end }: { readonly clocks: AgentClocks; readonly end: (why: StopReason) => void },
): Promise<void> {
  const { ledger, agent, build } = running;
  const withinBudget = startEventBudget();
  clocks.resume();
  for await (const batch of run.batches) {
    clocks.pause();
    clocks.activity(batch.events);
    for (const event of batch.events) {
      if (event.type === 'retry' && FAIL_FAST.has(event.reason)) end('fail_fast');
      if (exceeds(event, build.spec.limits.maxCostUsd)) end('budget');
    }
    const noticesPublished = ledger.checkpoint.noticesPublished ?? 0;
    const notices = (await run.notices()).slice(noticesPublished);
    await ledger.write({
      events: [
        ...withinBudget(batch.events.flatMap((event) => toBuildEvent(event, agent.name) ?? [])),
        ...notices.map((message): NewBuildEvent => ({ type: 'WARNING', data: { message } })),
      ],
      lines: batch.lines,
      checkpoint: { spoolOffset: batch.offset, noticesPublished: noticesPublished + notices.length },
    });
    if (batch.lines.length < SMALL_BATCH) await delay(GATHER_MS);
    clocks.resume();
  }
}

/** Ends the agent for the first reason given, and stops reading it when what it left is too much to be read. */
function endOnce(run: AgentRun, detached: AbortController, onError: (error: unknown) => void) {
  let reason: StopReason | null = null;
  let ended: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  return {
    because(why: StopReason) {
      if (reason) return;
      reason = why;
      ended = run.stop(why).then(() => {
        // Nobody waits for the rest of an agent that is not wanted any more.
        if (why === 'cancelled' || why === 'released') detached.abort();
        timer = setTimeout(() => detached.abort(), READ_AFTER_STOP_MS);
      }, onError);
    },
    reason: () => reason,
    ended: () => ended,
    dispose: () => clearTimeout(timer),
  };
}

/** What it means that we ended an agent. */
const ENDED: Partial<Record<StopReason, { readonly reason: AgentReason; readonly message: string }>> = {
  wall_limit: { reason: 'timeout', message: 'The agent did not finish in time.' },
  silence_limit: { reason: 'idle', message: 'The agent said nothing for too long.' },
  output_limit: { reason: 'output_limit', message: 'The agent printed more than a build may print.' },
  budget: { reason: 'budget', message: 'The agent has used up its budget.' },
};

/**
 * An agent that was ended may still complain of it: that its tool was killed is not why it failed. `outcome` is null
 * when its last words were too many to be read.
 */
function judge(why: StopReason | null, outcome: AgentOutcome | null): AgentOutcome {
  if (outcome?.status === 'succeeded') return outcome;
  const ended = why && ENDED[why];
  if (outcome && !ended) return outcome;
  const unread = { reason: 'unknown', message: 'The agent had printed more than could be read in time.' } as const;
  const said = outcome ?? { finalText: '', sessionId: null, usage: null, denials: [] };
  return { ...said, status: 'failed', retryable: false, ...(ended ?? unread) };
}

/** The session's id is durable before the agent starts, so that whoever comes next knows it. */
async function chooseSession({ ledger }: RunningBuild): Promise<Checkpoint> {
  await ledger.write({
    checkpoint: {
      sessionId: ledger.checkpoint.sessionId ?? randomUUID(),
      agentStartedAt: ledger.checkpoint.agentStartedAt ?? new Date().toISOString(),
    },
  });
  return ledger.checkpoint;
}

async function openRun(running: RunningBuild, checkpoint: Checkpoint, detached: AbortSignal): Promise<AgentRun> {
  const { build, agent, template, project } = running;
  const { spec } = build;
  const resumed = checkpoint.sessionCopied ? spec.resumeSessionOf : null;
  const earlier = resumed ? await running.ledger.read((db) => findBuild(db, resumed)) : null;
  try {
    return await agent.open({
      workspace: running.workspace,
      prompt: template ? renderPrompt(template, spec.prompt, spec.variables) : spec.prompt,
      model: spec.model,
      sessionId: checkpoint.sessionId ?? randomUUID(),
      resumeSessionId: earlier?.result?.sessionId ?? null,
      limits: { maxTurns: spec.limits.maxTurns, maxCostUsd: spec.limits.maxCostUsd },
      maxSeconds: spec.limits.wallSeconds + SUPERVISOR_GRACE_SECONDS,
      scripts: template?.scripts ?? {},
      trustRepoConfig: project.settings.trustRepoConfig ?? false,
      modelKey: running.credentials.modelKey,
      redact: running.redact,
      network: spec.network ?? ALL_OF_THE_NETWORK,
      publishedUpTo: checkpoint.spoolOffset ?? { stdout: 0, stderr: 0 },
      detached,
    });
  } catch (error) {
    const availability = await agent.probe();
    if (availability.available) throw error;
    const message = `${availability.reason} ${availability.remedy}`;
    throw new BuildFailedError(failure('PROVIDER_UNAVAILABLE', 'AGENT', message));
  }
}

function exceeds(event: AgentEvent, maxCostUsd: number | null): boolean {
  return event.type === 'usage' && maxCostUsd !== null && (event.usage.costUsd ?? 0) > maxCostUsd;
}
