/** Phase 2: start the agent or re-attach to it, publish what it says, and end it when a limit is reached. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentEvent, AgentOutcome, AgentReason, AgentRun, AgentTask, StopReason } from '../agents/agent.ts';
import { startDriftCount } from '../agents/drift.ts';
import { SupersededError } from '../errors.ts';
import type { NewBuildEvent, Usage } from '../events/event.ts';
import { addUsage } from '../events/usage.ts';
import { failpoint } from '../std/failpoint.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import { inSpan } from '../telemetry/trace-scope.ts';
import { startAgentCaps } from './agent-caps.ts';
import { type AgentClocks, startAgentClocks } from './agent-clocks.ts';
import { startEventBudget, toBuildEvent } from './agent-events.ts';
import { agentPrompt } from './agent-prompt.ts';
import type { BuildQuestion } from './build-question.ts';
import { failure } from './build-result.ts';
import { completeLimits, mayAsk, UNATTENDED } from './build-spec.ts';
import type { Checkpoint } from './checkpoint.ts';
import { leftOfLimits } from './left-of-limits.ts';
import { BuildFailedError, Interrupt, type RunBuildDeps, type RunningBuild } from './running-build.ts';
import { Talk } from './talk.ts';

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

/** Throws when the attempt is interrupted: by then the agent is dead, unless a successor owns it. */
export function runAgent(deps: RunBuildDeps, running: RunningBuild): Promise<AgentOutcome> {
  const { agent, build } = running;
  const attributes = { 'gen_ai.agent.name': agent.name, 'gen_ai.request.model': build.spec.model };
  return inSpan({ name: 'agent', attributes }, async (scope) => {
    const outcome = await runToItsEnd(deps, running);
    if (outcome.status !== 'succeeded') scope?.fail(outcome.reason ?? outcome.status);
    return outcome;
  });
}

async function runToItsEnd(deps: RunBuildDeps, running: RunningBuild): Promise<AgentOutcome> {
  const { signal } = running;
  const checkpoint = await chooseSession(running);
  // Before there is an agent: while the database is gone, nobody would end it.
  const questions = await readAsked(running);
  await failpoint('agent.begin');
  signal.throwIfAborted();
  const detached = new AbortController();
  const run = await openRun(running, checkpoint, detached.signal);
  const end = endOnce(run, detached, (error) => {
    if (!(error instanceof SupersededError)) deps.logger.error({ error }, 'an agent does not end');
  });
  const clocks = startAgentClocks({
    limits: completeLimits(running.build.spec.limits),
    startedAt: new Date(checkpoint.agentStartedAt ?? Date.now()),
    askedSince: openSince(running, questions),
    stop: end.because,
  });
  const talk = new Talk({
    running,
    run,
    clocks,
    logger: deps.logger,
    asked: questions.length,
    interrupt: () => end.because('interrupted'),
  });
  const watch = setInterval(() => {
    // What keeps the runtime from saying it ends the reading, too.
    const bytes = run.outputBytes().catch(() => 0);
    void bytes.then((printed) => printed > MAX_OUTPUT_BYTES && end.because('output_limit'));
  }, LOOK_AT_OUTPUT_EVERY_MS);
  const interrupt = () => {
    const reason = signal.reason instanceof Interrupt ? signal.reason.reason : 'released';
    if (reason === 'superseded' || reason === 'left') return detached.abort();
    end.because(reason === 'cut_off' ? 'released' : reason);
    // There is no time for manners.
    if (reason === 'cut_off') void deps.runtime.sweep(running.build.id, running.build.attemptNo).catch(() => {});
  };
  signal.addEventListener('abort', interrupt);
  try {
    if (signal.aborted) interrupt();
    const countDrift = startDriftCount(deps.drift, running.agent.name);
    await tellTurn(running, questions);
    const retryAfterSeconds = await publishOutput(running, run, { clocks, talk, end: end.because, countDrift });
    signal.throwIfAborted();
    const outcome = judge(end.reason(), detached.signal.aborted ? null : run.outcome());
    return retryAfterSeconds === null ? outcome : { retryAfterSeconds, ...outcome };
  } finally {
    clearInterval(watch);
    clocks.stop();
    await talk.stop();
    signal.removeEventListener('abort', interrupt);
    detached.abort();
    await end.ended();
    end.dispose();
  }
}

/** Resolves with what the provider has asked to wait, the last time that it said so. */
async function publishOutput(
  running: RunningBuild,
  run: AgentRun,
  {
    clocks,
    talk,
    end,
    countDrift,
  }: {
    readonly clocks: AgentClocks;
    readonly talk: Talk;
    readonly end: (why: StopReason, message?: string | null) => void;
    readonly countDrift: (events: readonly AgentEvent[]) => void;
  },
): Promise<number | null> {
  const { ledger, agent, build } = running;
  const withinBudget = startEventBudget();
  const findBreach = startAgentCaps(completeLimits(build.spec.limits));
  let retryAfterSeconds: number | null = null;
  clocks.resume();
  for await (const batch of run.batches) {
    clocks.pause();
    clocks.activity(batch.events);
    const events = batch.events.map((event) => withEarlierUsage(event, ledger.checkpoint.earlierUsage ?? null));
    const breach = findBreach(events);
    if (breach) end(breach.why, breach.message);
    const usage = events.findLast((event) => event.type === 'usage')?.usage ?? null;
    retryAfterSeconds = events.findLast((event) => event.type === 'retry')?.retryAfterSeconds ?? retryAfterSeconds;
    const noticesPublished = ledger.checkpoint.noticesPublished ?? 0;
    const notices = (await run.notices()).slice(noticesPublished);
    const said = talk.changes(events);
    await ledger.write({
      events: [
        ...withinBudget(events.flatMap((event) => toBuildEvent(event, agent.name) ?? [])),
        ...notices.map((message): NewBuildEvent => ({ type: 'WARNING', data: { message } })),
        ...said.events,
      ],
      ...(said.talk ? { talk: said.talk } : {}),
      lines: batch.lines,
      checkpoint: { spoolOffset: batch.offset, noticesPublished: noticesPublished + notices.length },
      usage,
    });
    if (said.talk) talk.written();
    const { usedUp } = usage ? await ledger.ask('dayBudget') : { usedUp: null };
    if (usedUp) end('budget', usedUp);
    // Only what is written: whoever comes next reads no more than the rest.
    countDrift(batch.events);
    if (batch.lines.length < SMALL_BATCH) await delay(GATHER_MS);
    clocks.resume();
  }
  return retryAfterSeconds;
}

/** What is told of a build's usage is that of all runs of its agent. */
function withEarlierUsage(event: AgentEvent, earlier: Usage | null): AgentEvent {
  return event.type === 'usage' ? { ...event, usage: addUsage(earlier, event.usage) } : event;
}

/** Ends the agent for the first reason given, and stops reading it when what it left is too much to be read. */
function endOnce(run: AgentRun, detached: AbortController, onError: (error: unknown) => void) {
  let reason: EndReason | null = null;
  let ended: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  return {
    because(why: StopReason, message: string | null = null) {
      if (reason) return;
      reason = { why, message };
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

interface EndReason {
  readonly why: StopReason;
  /** More than `ENDED` says of it. */
  readonly message: string | null;
}

/** What it means that we ended an agent. */
const ENDED: Partial<Record<StopReason, { readonly reason: AgentReason; readonly message: string }>> = {
  wall_limit: { reason: 'timeout', message: 'The agent did not finish in time.' },
  silence_limit: { reason: 'idle', message: 'The agent said nothing for too long.' },
  output_limit: { reason: 'output_limit', message: 'The agent printed more than a build may print.' },
  max_turns: { reason: 'max_turns', message: 'The agent has taken more turns than it may.' },
  budget: { reason: 'budget', message: 'The agent has used up its budget.' },
};

/**
 * An agent that was ended may still complain of it: that its tool was killed is not why it failed. `outcome` is null
 * when its last words were too many to be read. A cap that was exceeded fails the build, also when that was the agent's
 * last word: whether it still lived when we ended it is a matter of milliseconds.
 */
function judge(end: EndReason | null, outcome: AgentOutcome | null): AgentOutcome {
  const overCap = end?.why === 'budget' || end?.why === 'max_turns';
  if (outcome?.status === 'succeeded' && !overCap) return outcome;
  const ended = end && ENDED[end.why];
  if (outcome && !ended) return outcome;
  const unread = { reason: 'unknown', message: 'The agent had printed more than could be read in time.' } as const;
  const said = outcome ?? { finalText: '', sessionId: null, usage: null, denials: [] };
  if (end?.why === 'interrupted')
    return { ...said, status: 'cancelled', reason: 'cancelled', retryable: false, message: null };
  const why = ended ?? unread;
  return { ...said, status: 'failed', retryable: false, ...why, message: end?.message ?? why.message };
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
  const session = await findSession(running, checkpoint);
  const limits = await leftOfLimits(running);
  const interaction = spec.interaction ?? UNATTENDED;
  const prompt = await agentPrompt(running);
  try {
    return await agent.open({
      workspace: running.workspace,
      prompt,
      model: spec.model,
      sessionId: checkpoint.sessionId ?? randomUUID(),
      ...session,
      limits,
      // People take as long as they take.
      ...(mayAsk(spec) ? {} : { maxSeconds: spec.limits.wallSeconds + SUPERVISOR_GRACE_SECONDS }),
      asks: { questions: interaction.questions, permissions: interaction.approvals },
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

/** The session that the agent goes on with: that of an earlier build, or its own before it met a rate limit. */
async function findSession(
  { build, ledger }: RunningBuild,
  { sessionCopied, resumedSession }: Checkpoint,
): Promise<Pick<AgentTask, 'resumeSessionId' | 'resumedUsage'>> {
  const resumed = sessionCopied ? build.spec.resumeSessionOf : null;
  const { sessionId, usage } = resumed ? await ledger.ask('earlierSession') : { sessionId: null, usage: null };
  if (!resumedSession) return { resumeSessionId: sessionId, resumedUsage: usage };
  return {
    resumeSessionId: resumedSession.id,
    resumedUsage: resumedSession.usage ? addUsage(usage, resumedSession.usage) : usage,
  };
}

/** None when it may not ask. */
async function readAsked({ build, ledger }: RunningBuild): Promise<readonly BuildQuestion[]> {
  return mayAsk(build.spec) ? ledger.ask('questions') : [];
}

/** Since when the present run waits for people; null when it does not. */
function openSince({ ledger }: RunningBuild, questions: readonly BuildQuestion[]): Date | null {
  const { runNo = 0 } = ledger.checkpoint;
  return questions.find((question) => question.runNo === runNo && question.state === 'OPEN')?.askedAt ?? null;
}

/** The messages with which the run has begun; and of a run that is gone on with, whether it waits for people. */
async function tellTurn(running: RunningBuild, questions: readonly BuildQuestion[]): Promise<void> {
  const { ledger } = running;
  const { turn } = ledger.checkpoint;
  if (turn) await ledger.write({ talk: { delivered: { ids: turn.messageIds, as: turn.as } } });
  else if (openSince(running, questions)) await ledger.write({ talk: {} });
}
