/** An agent in a workspace of the local runtime, followed to its end. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  Agent,
  AgentBatch,
  AgentEvent,
  AgentOutcome,
  AgentRun,
  AgentTask,
  LogLine,
  StopReason,
} from '../../src/agents/agent.ts';
import { startAgentCaps } from '../../src/builds/agent-caps.ts';
import { startAgentClocks } from '../../src/builds/agent-clocks.ts';
import { type BuildLimits, completeLimits } from '../../src/builds/build-spec.ts';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import type { Runtime, SpoolOffset, Workspace } from '../../src/runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';
import { sandboxOf } from './sandbox.ts';
import { waitFor } from './wait-for.ts';

/** What a worker gives its agents. */
export const ENVIRONMENT = { PATH: process.env.PATH ?? '/usr/bin:/bin', LANG: 'C.UTF-8' };

const RENEW_MS = 5_000;

export interface AgentBench extends AsyncDisposable {
  readonly runtime: Runtime;
  readonly workspace: Workspace;
  task(changes: Partial<AgentTask>): AgentTask;
  /** The same build as a process sees it that comes after ours. */
  successor(): Promise<Workspace>;
}

export async function openBench({ sandboxed = false } = {}): Promise<AgentBench> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-agents-'));
  const open = () => openLocalRuntime({ folder, sandbox: sandboxed ? sandboxOf(folder) : null });
  const runtime = open();
  const buildId = randomUUID();
  const workspace = await runtime.open(buildId);
  const sessionId = randomUUID();
  // As a worker does: a slow machine would take longer than a run lives that nobody looks after.
  const renewing = setInterval(() => void runtime.renew(buildId), RENEW_MS);
  return {
    runtime,
    workspace,
    task: (changes) => ({
      workspace,
      prompt: '',
      model: null,
      sessionId,
      resumeSessionId: null,
      resumedUsage: null,
      asks: { questions: false, permissions: false },
      limits: { maxTurns: null, maxCostUsd: null },
      scripts: {},
      trustRepoConfig: false,
      modelKey: null,
      redact: (line) => line,
      network: ALL_OF_THE_NETWORK,
      publishedUpTo: { stdout: 0, stderr: 0 },
      detached: new AbortController().signal,
      ...changes,
    }),
    successor: () => open().open(buildId),
    async [Symbol.asyncDispose]() {
      clearInterval(renewing);
      await runtime.sweep(buildId);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Everything a run gave so far. */
export interface Followed {
  readonly run: AgentRun;
  readonly events: AgentEvent[];
  readonly lines: LogLine[];
  readonly offsets: SpoolOffset[];
  /** Resolves when the batches have ended. */
  readonly ended: Promise<void>;
}

export async function follow(
  agent: Agent,
  task: AgentTask,
  onBatch: (batch: AgentBatch, run: AgentRun) => void = () => {},
): Promise<Followed> {
  const run = await agent.open(task);
  const followed = { run, events: [] as AgentEvent[], lines: [] as LogLine[], offsets: [] as SpoolOffset[] };
  async function readAll(): Promise<void> {
    for await (const batch of run.batches) {
      followed.events.push(...batch.events);
      followed.lines.push(...batch.lines);
      followed.offsets.push(batch.offset);
      onBatch(batch, run);
    }
  }
  return { ...followed, ended: readAll() };
}

export async function runToEnd(agent: Agent, task: AgentTask): Promise<Followed & { outcome: AgentOutcome }> {
  const followed = await follow(agent, task);
  await followed.ended;
  return { ...followed, outcome: followed.run.outcome() };
}

/** Such as a build has, but for times that a test can wait for. */
const LIMITS: BuildLimits = completeLimits({ wallSeconds: 150, silenceSeconds: 100, lingerSeconds: 2 });
const MOMENT_DEADLINE_MS = 90_000;

/** To its end under the caps and clocks of a build; `stop` ends it at a moment. */
export async function runAsBuild(
  agent: Agent,
  task: AgentTask,
  options: {
    readonly limits: Partial<BuildLimits>;
    readonly stop?: { readonly moment: () => boolean | Promise<boolean>; readonly why: StopReason };
  },
): Promise<Followed & { outcome: AgentOutcome }> {
  const limits = { ...LIMITS, ...options.limits };
  const findBreach = startAgentCaps(limits);
  let stopping: Promise<void> | null = null;
  let hasEnded = false;
  const followed = await follow(agent, task, (batch) => {
    clocks.activity(batch.events);
    clocks.resume();
    const breach = findBreach(batch.events);
    if (breach) end(breach.why);
  });
  function end(why: StopReason): void {
    stopping ??= followed.run.stop(why);
  }
  const clocks = startAgentClocks({ limits, startedAt: new Date(), askedSince: null, stop: end });
  const ended = followed.ended.finally(() => {
    hasEnded = true;
  });
  try {
    if (options.stop) {
      const { moment, why } = options.stop;
      const what = `the moment for ${why}`;
      await waitFor(async () => hasEnded || (await moment()), { what, deadlineMs: MOMENT_DEADLINE_MS });
      end(why);
    }
    await ended;
    await stopping;
  } finally {
    clocks.stop();
  }
  return { ...followed, outcome: followed.run.outcome() };
}
