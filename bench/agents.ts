/**
 * `node bench/agents.ts`: for each agent with its real program the time from its start to the first event and to the end
 * of a one-word answer, and the peak of its memory, beside `node -e 0`. Prints the medians of runs in turns.
 */
import { readFile, realpath } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createAcpAgent } from '../src/agents/acp.ts';
import type { Agent } from '../src/agents/agent.ts';
import { createClaudeCode } from '../src/agents/claude-code.ts';
import { createCodex } from '../src/agents/codex.ts';
import { createGemini } from '../src/agents/gemini.ts';
import { createOpenCode } from '../src/agents/opencode.ts';
import { createScripted } from '../src/agents/scripted.ts';
import { formatTable } from '../src/cli/format.ts';
import { workspaceMark } from '../src/runtimes/build-mark.ts';
import { findMarked } from '../src/runtimes/sweep-processes.ts';
import { ALL_OF_THE_NETWORK } from '../src/std/network-access.ts';
import { ENVIRONMENT, follow, openBench } from '../test/support/agent-runs.ts';
import { openFakeModel } from '../test/support/fake-model/fake-model.ts';
import { promptFor } from '../test/support/fake-model/scripts.ts';
import { type AgentName, findAgent, versionOf } from '../test/support/real-agents.ts';

const ROUNDS = 5;
const SAMPLE_EVERY_MS = 10;
const MIB = 1024 * 1024;

interface Measured {
  /** Milliseconds; null for a program without events. */
  readonly firstEvent: number | null;
  readonly total: number;
  /** Of all its processes together. */
  readonly peakBytes: number;
}

interface Candidate {
  readonly name: string;
  readonly version: string;
  measure(): Promise<Measured>;
}

type Bench = Awaited<ReturnType<typeof openBench>>;

/** Measures `work` in a workspace of its own, whose processes are looked at meanwhile. */
async function measureIn(work: (bench: Bench) => Promise<number | null>): Promise<Measured> {
  await using bench = await openBench();
  const mark = workspaceMark(await realpath(bench.workspace.paths.root));
  let isRunning = true;
  let peakBytes = 0;
  async function watch(): Promise<void> {
    while (isRunning) {
      const pids = await findMarked(mark);
      const sizes = await Promise.all(pids.map(memoryOf));
      peakBytes = Math.max(
        peakBytes,
        sizes.reduce((sum, size) => sum + size, 0),
      );
      await delay(SAMPLE_EVERY_MS);
    }
  }
  const watching = watch();
  const startedAt = performance.now();
  const firstEventAt = await work(bench);
  const total = performance.now() - startedAt;
  isRunning = false;
  await watching;
  return { firstEvent: firstEventAt === null ? null : firstEventAt - startedAt, total, peakBytes };
}

/** Bytes; of pages that are shared the process's part. 0 when it is gone. */
async function memoryOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}

function measureAgent(agent: Agent, prompt: string, model: string | null): Promise<Measured> {
  return measureIn(async ({ task }) => {
    let firstEventAt: number | null = null;
    const { run, ended } = await follow(agent, task({ prompt, model }), ({ events }) => {
      if (events.length > 0) firstEventAt ??= performance.now();
    });
    await ended;
    const { status, message } = run.outcome();
    if (status !== 'succeeded') throw new Error(`${agent.name}: ${message}`);
    return firstEventAt;
  });
}

const bare: Candidate = {
  name: 'node -e 0',
  version: process.version,
  measure: () =>
    measureIn(async ({ workspace: { paths, start } }) => {
      const run = await start({
        argv: [process.execPath, '-e', '0'],
        cwd: paths.work,
        env: ENVIRONMENT,
        stdin: '',
        redact: (line) => line,
        network: ALL_OF_THE_NETWORK,
      });
      for await (const _ of run.read({ stdout: 0, stderr: 0 }, new AbortController().signal));
      return null;
    }),
};

async function findCandidates(url: string): Promise<Candidate[]> {
  const own = { environment: ENVIRONMENT, apiKey: 'test-key' };
  const fake = { npm: '@ai-sdk/openai-compatible', options: { baseURL: `${url}/v1` }, models: { 'fake-model': {} } };
  const keyless = { apiKey: null, baseUrl: null };
  const access = { providers: { fake }, model: 'fake/fake-model', apiKey: null, anthropic: keyless, openai: keyless };
  const acp = { keyVariable: 'ANTHROPIC_API_KEY', baseUrlVariable: 'ANTHROPIC_BASE_URL', reaches: [], baseUrl: url };
  const makers: Readonly<Record<AgentName, readonly [make: (program: string) => Agent, model: string | null]>> = {
    'claude-code': [(program) => createClaudeCode({ ...own, program, baseUrl: url }), null],
    codex: [(program) => createCodex({ ...own, program, baseUrl: `${url}/v1` }), 'a-model'],
    gemini: [(program) => createGemini({ ...own, program, baseUrl: url }), 'gemini-2.5-pro'],
    'claude-agent-acp': [(program) => createAcpAgent({ ...own, ...acp, name: 'claude', command: [program] }), null],
    opencode: [(program) => createOpenCode({ environment: ENVIRONMENT, program, access }), null],
  };
  const found: Candidate[] = [];
  for (const [name, [make, model]] of Object.entries(makers)) {
    const real = await findAgent(name as AgentName);
    if ('missing' in real) continue;
    const agent = make(real.program);
    found.push({
      name: agent.name,
      version: versionOf(name as AgentName),
      measure: () => measureAgent(agent, promptFor('nothing'), model),
    });
  }
  return found;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function toRow({ name, version }: Candidate, runs: readonly Measured[], nodeMs: number): string[] {
  const total = median(runs.map((run) => run.total));
  const first = runs.flatMap(({ firstEvent }) => firstEvent ?? []);
  const peak = median(runs.map(({ peakBytes }) => peakBytes));
  return [
    name,
    version,
    first.length === 0 ? '-' : `${Math.round(median(first))} ms`,
    `${Math.round(total)} ms`,
    `${(total / nodeMs).toFixed(1)}x`,
    `${Math.round(peak / MIB)} MiB`,
  ];
}

await using model = await openFakeModel();
const scripted = createScripted({ environment: ENVIRONMENT });
const candidates: readonly Candidate[] = [
  bare,
  { name: 'scripted', version: '-', measure: () => measureAgent(scripted, '[[script:nothing]]', null) },
  ...(await findCandidates(model.url)),
];
const measured = new Map<Candidate, Measured[]>(candidates.map((candidate) => [candidate, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [candidate, runs] of measured) runs.push(await candidate.measure());
}
const nodeMs = median((measured.get(bare) ?? []).map(({ total }) => total));
const head = ['AGENT', 'VERSION', 'FIRST EVENT', 'END', 'TO NODE -E 0', 'PEAK MEMORY'];
const rows = [...measured].map(([candidate, runs]) => toRow(candidate, runs, nodeMs));
process.stdout.write(`${formatTable([head, ...rows])}\n`);
