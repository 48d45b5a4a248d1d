/** An agent in a workspace of the local runtime, followed to its end. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Agent, AgentEvent, AgentOutcome, AgentRun, AgentTask, LogLine } from '../../src/agents/agent.ts';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import type { Runtime, SpoolOffset, Workspace } from '../../src/runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';
import { sandboxOf } from './sandbox.ts';

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

export async function follow(agent: Agent, task: AgentTask): Promise<Followed> {
  const run = await agent.open(task);
  const followed = { run, events: [] as AgentEvent[], lines: [] as LogLine[], offsets: [] as SpoolOffset[] };
  async function readAll(): Promise<void> {
    for await (const batch of run.batches) {
      followed.events.push(...batch.events);
      followed.lines.push(...batch.lines);
      followed.offsets.push(batch.offset);
    }
  }
  return { ...followed, ended: readAll() };
}

export async function runToEnd(agent: Agent, task: AgentTask): Promise<Followed & { outcome: AgentOutcome }> {
  const followed = await follow(agent, task);
  await followed.ended;
  return { ...followed, outcome: followed.run.outcome() };
}
