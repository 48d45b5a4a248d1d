import { expect, onTestFinished, test } from 'vitest';
import type { Agent, RunEnd } from '../../src/agents/agent.ts';
import { createAgents } from '../../src/agents/agents.ts';
import { type LineReader, openLineRun } from '../../src/agents/line-agent.ts';
import { outcomeOf, succeeded } from '../../src/agents/verdict.ts';
import { type AgentBench, ENVIRONMENT, openBench, runToEnd } from '../support/agent-runs.ts';

async function bench(): Promise<AgentBench> {
  const opened = await openBench();
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

/** An agent that is a shell script; each of its lines is a warning. */
function shellAgent(script: string, ends: RunEnd[] = []): Agent {
  const reader = (): LineReader => ({
    read: (line) => [{ type: 'warning', message: line }],
    verdict(end) {
      ends.push(end);
      return outcomeOf(succeeded(), { finalText: '', sessionId: null, usage: null, denials: [] });
    },
  });
  return {
    name: 'shell',
    capabilities: { resume: false, cost: false, models: false, messages: [], questions: false, permissions: false },
    modelKey: null,
    probe: async () => ({ available: true, version: '1.0' }),
    open: (task) =>
      openLineRun({
        task,
        reader: reader(),
        command: () => ({
          argv: ['/bin/sh', '-c', script],
          cwd: task.workspace.paths.work,
          env: ENVIRONMENT,
          stdin: '',
          redact: task.redact,
          network: task.network,
        }),
      }),
  };
}

test('the verdict is given the exit, and the end of stderr only', async () => {
  const { task } = await bench();
  const ends: RunEnd[] = [];
  const agent = shellAgent('i=0; while [ $i -lt 2000 ]; do echo "line $i" >&2; i=$((i+1)); done; exit 3', ends);
  const { lines, events } = await runToEnd(agent, task({}));
  expect(lines).toHaveLength(2000);
  expect(events).toEqual([]);
  expect(ends).toMatchObject([{ exit: { kind: 'exited', code: 3 }, stoppedBecause: null }]);
  expect(ends[0]?.stderrTail).toMatch(/line 1999\n$/);
  expect(ends[0]?.stderrTail.length).toBeLessThanOrEqual(8 * 1024);
});

test('what was published of a run that is gone hides nothing of a new one', async () => {
  const { task } = await bench();
  const publishedUpTo = { stdout: 1_000_000, stderr: 1_000_000 };
  const { run, events } = await runToEnd(shellAgent('echo one; echo two'), task({ publishedUpTo }));
  expect(run.reattached).toBe(false);
  expect(events.map((event) => event.type === 'warning' && event.message)).toEqual(['one', 'two']);
});

test('both streams are taken up where each was left', async () => {
  const { task, successor } = await bench();
  const agent = shellAgent('echo a; echo b; echo x >&2; echo y >&2');
  const whole = await runToEnd(agent, task({}));
  expect(whole.offsets.at(-1)).toEqual({ stdout: 4, stderr: 4 });
  for (const [publishedUpTo, left] of [
    [{ stdout: 2, stderr: 4 }, ['b']],
    [{ stdout: 4, stderr: 2 }, ['y']],
    [{ stdout: 0, stderr: 4 }, ['a', 'b']],
  ] as const) {
    const { run, lines } = await runToEnd(agent, task({ workspace: await successor(), publishedUpTo }));
    expect(run.reattached).toBe(true);
    expect(lines.map(({ text }) => text)).toEqual(left);
  }
});

test('the offset never goes back, or a third attempt would publish lines again', async () => {
  const { task, successor } = await bench();
  const agent = shellAgent('seq 100000 120500; echo x >&2');
  await runToEnd(agent, task({}));
  const publishedUpTo = { stdout: 70, stderr: 2 };
  const { lines, offsets } = await runToEnd(agent, task({ workspace: await successor(), publishedUpTo }));
  expect(lines).toHaveLength(20491);
  expect(offsets.length).toBeGreaterThan(1);
  for (const { stderr } of offsets) expect(stderr).toBe(2);
});

test('secrets are redacted before anybody sees them', async () => {
  const { task } = await bench();
  const redact = (line: string) => line.replaceAll('hunter2', '[redacted]');
  const { lines, events } = await runToEnd(shellAgent('echo "it is hunter2"; echo hunter2 >&2'), task({ redact }));
  expect(JSON.stringify([lines, events])).not.toContain('hunter2');
  expect(lines).toHaveLength(2);
});

test('the registry knows its agents by the name of the provider', () => {
  const agents = createAgents({
    environment: ENVIRONMENT,
    claudePath: 'claude',
    anthropicApiKey: null,
    anthropicBaseUrl: null,
    codexPath: 'codex',
    openaiApiKey: null,
    openaiBaseUrl: null,
    geminiPath: 'gemini',
    geminiApiKey: null,
    geminiBaseUrl: null,
    opencodePath: 'opencode',
    opencodeModel: null,
    opencodeProviders: {},
    opencodeApiKey: null,
    acpAgents: [
      {
        name: 'mine',
        command: ['mine'],
        keyVariable: null,
        baseUrlVariable: null,
        reaches: [],
        apiKey: null,
        baseUrl: null,
      },
    ],
  });
  expect([...agents].map(([name, agent]) => [name, agent.name])).toEqual([
    ['claude-code', 'claude-code'],
    ['codex', 'codex'],
    ['gemini', 'gemini'],
    ['opencode', 'opencode'],
    ['scripted', 'scripted'],
    ['acp:mine', 'acp:mine'],
  ]);
});
