/** The real Claude Code, over the local runtime, with a scripted model on loopback. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Agent } from '../../src/agents/agent.ts';
import { createClaudeCode } from '../../src/agents/claude-code.ts';
import { describeAgent } from '../contracts/agent.contract.ts';
import { intrudedRecording } from '../contracts/agent-lines.ts';
import { type AgentBench, ENVIRONMENT, openBench, runToEnd } from '../support/agent-runs.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { promptFor } from '../support/fake-model/scripts.ts';
import { findAgent, versionOf } from '../support/real-agents.ts';

const found = await findAgent('claude-code');
const program = 'program' in found ? found.program : 'claude';

let model: FakeModel;
let agent: Agent;

beforeAll(async () => {
  model = await openFakeModel();
  agent = createClaudeCode({ program, environment: ENVIRONMENT, apiKey: 'test-key', baseUrl: model.url });
});
afterAll(() => model[Symbol.asyncDispose]());

async function bench(): Promise<AgentBench> {
  const opened = await openBench();
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

describe.skipIf('missing' in found)('with the real program', () => {
  describeAgent('claude-code', {
    agent: () => agent,
    prompt: promptFor,
    model: () => model,
    intruded: intrudedRecording({
      transcript: 'claude-success',
      create: (standIn) => createClaudeCode({ program: standIn, environment: ENVIRONMENT, apiKey: 'k', baseUrl: null }),
    }),
  });

  test('the probe tells its version', async () => {
    expect(await agent.probe()).toEqual({ available: true, version: versionOf('claude-code') });
  });

  test('it tells what it used and who it is', async () => {
    const { task } = await bench();
    const { events, outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]', model: 'claude-opus-5-5' }));
    expect(events.find((event) => event.type === 'started')).toEqual({
      type: 'started',
      sessionId: task({}).sessionId,
      model: 'claude-opus-5-5',
      agentVersion: versionOf('claude-code'),
    });
    expect(outcome.usage).toMatchObject({
      inputTokens: 3400,
      outputTokens: 120,
      turns: 3,
      costUsd: expect.any(Number),
    });
    expect(events.filter((event) => event.type === 'raw')).toEqual([]);
  });

  test('the prompt reaches the model as it is, whatever it looks like', async () => {
    const { task, workspace } = await bench();
    await writeFile(join(workspace.paths.work, 'secret.txt'), 'the secret');
    const prompt = '/compact --help @secret.txt "quotes" $HOME `id` [[script:nothing]]';
    const seen = model.prompts.length;
    const { outcome } = await runToEnd(agent, task({ prompt }));
    expect(outcome.reason).toBe('completed');
    expect(model.prompts.slice(seen).join('\n')).toContain(prompt);
    expect(model.prompts.slice(seen).join('\n')).not.toContain('the secret');
  });

  test('its tools see the allow-list and nothing of ours', async () => {
    const { task, workspace } = await bench();
    process.env.SLIPWAY_TEST_SECRET = 'must not leak';
    onTestFinished(() => void delete process.env.SLIPWAY_TEST_SECRET);
    await runToEnd(agent, task({ prompt: '[[script:env]]' }));
    const names = (await readFile(join(workspace.paths.work, 'env.txt'), 'utf8')).split('\n');
    expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'SLIPWAY_BUILD_ID']));
    const known =
      /^(PATH|LANG|HOME|PWD|OLDPWD|SHLVL|SHELL|_|TMPDIR|XDG_RUNTIME_DIR|GIT_EDITOR|AI_AGENT|SLIPWAY_BUILD_ID|SLIPWAY_WORKSPACE|(CLAUDE|ANTHROPIC|DISABLE|NoDefault|COREPACK|OTEL|MCP)\w*|)$/;
    expect(names.filter((name) => !known.test(name))).toEqual([]);
  });

  test.each([
    [false, []],
    [true, ['hook-ran', 'mcp-ran']],
  ])('the repository runs its own hooks and servers only when trusted: %s', async (trustRepoConfig, expected) => {
    const { task, workspace } = await bench();
    const { work, tmp } = workspace.paths;
    const touch = (name: string) => `touch ${join(tmp, name)}`;
    await mkdir(join(work, '.claude'));
    const hook = [{ hooks: [{ type: 'command', command: touch('hook-ran') }] }];
    const settings = { hooks: { SessionStart: hook, PreToolUse: hook }, enableAllProjectMcpServers: true };
    await writeFile(join(work, '.claude/settings.json'), JSON.stringify(settings));
    const server = { command: 'sh', args: ['-c', touch('mcp-ran')] };
    await writeFile(join(work, '.mcp.json'), JSON.stringify({ mcpServers: { evil: server } }));
    const { outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]', trustRepoConfig }));
    expect(outcome.status).toBe('succeeded');
    const ran = (await readdir(tmp)).filter((name) => name.endsWith('-ran'));
    expect(ran.sort()).toEqual(expected);
  });
});

test('a program that is not there is not available, and says what to do', async () => {
  const missing = createClaudeCode({
    program: '/no/such/claude',
    environment: ENVIRONMENT,
    apiKey: 'k',
    baseUrl: null,
  });
  expect(await missing.probe()).toMatchObject({ available: false, remedy: expect.stringContaining('npm install') });
  const { task } = await bench();
  const { outcome } = await runToEnd(missing, task({ prompt: 'hello' }));
  expect(outcome).toMatchObject({ status: 'failed', reason: 'unavailable', retryable: false });
});
