/** Phase 2: start the agent or re-attach to it, publish what it says, and end it when a limit is reached. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentBatch, AgentEvent, AgentOutcome, AgentReason, AgentRun } from '../agents/agent.ts';
import { renderPrompt } from '../projects/render-template.ts';
import { startAgentClocks } from './agent-clocks.ts';
import { toBuildEvent } from './agent-events.ts';
import { findBuild } from './build.ts';
import { failure } from './build-result.ts';
import type { Checkpoint } from './checkpoint.ts';
import { BuildFailedError, Interrupt, type RunBuildDeps, type RunningBuild } from './running-build.ts';

/** At most this often are events written; between two writes they gather. */
const FLUSH_EVERY_MS = 50;
/** Bytes that an agent may print in all. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
/** No retry of the agent helps against these: it is ended at the first. */
const FAIL_FAST: ReadonlySet<AgentReason> = new Set(['auth', 'billing']);

/** Throws when the attempt is interrupted: by then the agent is dead, unless a successor owns it. */
export async function runAgent(deps: RunBuildDeps, running: RunningBuild): Promise<AgentOutcome> {
  const { ledger, signal, agent } = running;
  const checkpoint = await chooseSession(deps, running);
  const detached = new AbortController();
  const run = await openRun(deps, running, checkpoint, detached.signal);
  const clocks = startAgentClocks({
    limits: running.build.spec.limits,
    startedAt: new Date(checkpoint.agentStartedAt ?? Date.now()),
    stop: (why) => void run.stop(why).catch((error: unknown) => deps.logger.error({ error }, 'an agent does not end')),
  });
  const interrupt = () => {
    const reason = signal.reason instanceof Interrupt ? signal.reason.reason : 'released';
    if (reason === 'superseded') detached.abort();
    else void run.stop(reason).catch((error: unknown) => deps.logger.error({ error }, 'an agent does not end'));
  };
  signal.addEventListener('abort', interrupt);
  try {
    if (signal.aborted) interrupt();
    for await (const batch of run.batches) {
      clocks.activity(batch.events);
      limitRun(run, batch, running.build.spec.limits.maxCostUsd);
      await ledger.write({
        events: batch.events.flatMap((event) => toBuildEvent(event, agent.name) ?? []),
        lines: batch.lines,
        checkpoint: { spoolOffset: batch.offset },
      });
      await delay(FLUSH_EVERY_MS);
    }
    signal.throwIfAborted();
    return run.outcome();
  } finally {
    clocks.stop();
    signal.removeEventListener('abort', interrupt);
    detached.abort();
  }
}

/** The session's id is durable before the agent starts, so that whoever comes next knows it. */
async function chooseSession(deps: RunBuildDeps, { build, ledger }: RunningBuild): Promise<Checkpoint> {
  // Written by prepareWorkspace after the claim: the row knows more than the claimed build.
  const row = await deps.db
    .selectFrom('build_audit')
    .select('checkpoint')
    .where('id', '=', build.id)
    .executeTakeFirstOrThrow();
  const checkpoint = row.checkpoint as Checkpoint;
  const chosen = {
    sessionId: checkpoint.sessionId ?? randomUUID(),
    agentStartedAt: checkpoint.agentStartedAt ?? new Date().toISOString(),
  };
  await ledger.write({ checkpoint: chosen });
  return { ...checkpoint, ...chosen };
}

async function openRun(
  deps: RunBuildDeps,
  running: RunningBuild,
  checkpoint: Checkpoint,
  detached: AbortSignal,
): Promise<AgentRun> {
  const { build, agent, template, project } = running;
  const { spec } = build;
  const earlier =
    checkpoint.sessionCopied && spec.resumeSessionOf ? await findBuild(deps.db, spec.resumeSessionOf) : null;
  try {
    return await agent.open({
      workspace: running.workspace,
      prompt: template ? renderPrompt(template, spec.prompt, spec.variables) : spec.prompt,
      model: spec.model,
      sessionId: checkpoint.sessionId ?? randomUUID(),
      resumeSessionId: earlier?.result?.sessionId ?? null,
      limits: { maxTurns: spec.limits.maxTurns, maxCostUsd: spec.limits.maxCostUsd },
      scripts: template?.scripts ?? {},
      trustRepoConfig: project.settings.trustRepoConfig ?? false,
      redact: running.redact,
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

function limitRun(run: AgentRun, batch: AgentBatch, maxCostUsd: number | null): void {
  const stop = (why: 'fail_fast' | 'budget' | 'output_limit') => void run.stop(why).catch(() => {});
  if (batch.offset.stdout + batch.offset.stderr > MAX_OUTPUT_BYTES) stop('output_limit');
  for (const event of batch.events) {
    if (event.type === 'retry' && FAIL_FAST.has(event.reason)) stop('fail_fast');
    if (exceeds(event, maxCostUsd)) stop('budget');
  }
}

function exceeds(event: AgentEvent, maxCostUsd: number | null): boolean {
  return event.type === 'usage' && maxCostUsd !== null && (event.usage.costUsd ?? 0) > maxCostUsd;
}
