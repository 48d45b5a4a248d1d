/** The real Codex, over the local runtime, with a scripted model on loopback. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Agent } from '../../src/agents/agent.ts';
import { createCodex } from '../../src/agents/codex.ts';
import { describeAgent } from '../contracts/agent.contract.ts';
import { intrudedRecording } from '../contracts/agent-lines.ts';
import { type AgentBench, ENVIRONMENT, openBench, runToEnd } from '../support/agent-runs.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { promptFor } from '../support/fake-model/scripts.ts';
import { findAgent, versionOf } from '../support/real-agents.ts';
import { bubblewrap } from '../support/sandbox.ts';

/**
 * One that Codex does not know. Its default model writes programs that call the tools, and Codex does not tell each of
 * their calls.
 */
const MODEL = 'a-model';

const found = await findAgent('codex');
const program = 'program' in found ? found.program : 'codex';

let model: FakeModel;
let agent: Agent;

beforeAll(async () => {
  model = await openFakeModel();
  agent = createCodex({ program, environment: ENVIRONMENT, apiKey: 'test-key', baseUrl: `${model.url}/v1` });
});
afterAll(() => model[Symbol.asyncDispose]());

async function bench(options: { sandboxed?: boolean } = {}): Promise<AgentBench> {
  const opened = await openBench(options);
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return { ...opened, task: (changes) => opened.task({ model: MODEL, ...changes }) };
}

describe.skipIf('missing' in found || bubblewrap === null)('with the real program, in the sandbox', () => {
  describeAgent('codex', {
    agent: () => ({ ...agent, open: (task) => agent.open({ ...task, model: MODEL }) }),
    namesItsSessions: true,
    sandboxed: true,
    prompt: promptFor,
    model: () => model,
    intruded: intrudedRecording({
      transcript: 'codex-success',
      create: (standIn) => createCodex({ program: standIn, environment: ENVIRONMENT, apiKey: 'k', baseUrl: null }),
    }),
    // It waits longer before each try.
    caps: { maxRetries: 1 },
    differs: {
      'error 500': {
        reason: 'It tells every error of a server as high demand.',
        expected: { status: 'failed', reason: 'overloaded', retryable: true },
      },
      'tool denied': {
        reason: 'It has no tool for files that could be denied: its command fails in the sandbox.',
        expected: { status: 'succeeded', reason: 'completed', retryable: false },
      },
    },
    cannot: {
      'max turns': 'It has no limit of turns, and tells nobody how many it took.',
      budget: 'It does not tell what it costs.',
    },
  });

  test('it works with its default model, and with no network but that to it', async () => {
    const { task, workspace } = await bench({ sandboxed: true });
    const network = { access: 'NONE', hosts: [] } as const;
    const { outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]', network, model: null }));
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect(await readFile(join(workspace.paths.work, 'hello.txt'), 'utf8')).toBe('hello\n');
  });
});

describe.skipIf('missing' in found)('with the real program, in its own sandbox', () => {
  test('the probe tells its version', async () => {
    expect(await agent.probe()).toEqual({ available: true, version: versionOf('codex') });
  });

  test('it tells what it used and who it is', async () => {
    const { task } = await bench();
    const { events, outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]' }));
    expect(events.find((event) => event.type === 'started')).toMatchObject({
      sessionId: outcome.sessionId,
      model: MODEL,
    });
    expect(outcome.usage).toMatchObject({ inputTokens: 3400, outputTokens: 120, costUsd: null });
    expect(events.filter((event) => event.type === 'raw')).toEqual([]);
  });

  test('the prompt reaches the model as it is, whatever it looks like', async () => {
    const { task } = await bench();
    const prompt = '/compact --help @secret.txt "quotes" $HOME `id` [[script:nothing]]';
    const seen = model.prompts.length;
    const { outcome } = await runToEnd(agent, task({ prompt }));
    expect(outcome.reason).toBe('completed');
    expect(model.prompts.slice(seen).join('\n')).toContain(prompt);
  });

  test('its commands cannot write outside the checkout', async () => {
    const { task, workspace } = await bench();
    const { outcome } = await runToEnd(agent, task({ prompt: '[[script:escape]]' }));
    expect(outcome.status).toBe('succeeded');
    // Codex does not tell every command that fails at once: the file says that it was run.
    expect(await readFile(join(workspace.paths.work, 'inside.txt'), 'utf8')).toBe('x\n');
    expect(await readdir(workspace.paths.root)).not.toContain('outside.txt');
  });

  test('its tools see the allow-list, and neither what is ours nor the key', async () => {
    const { task, workspace } = await bench();
    process.env.SLIPWAY_TEST_SECRET = 'must not leak';
    onTestFinished(() => void delete process.env.SLIPWAY_TEST_SECRET);
    await runToEnd(agent, task({ prompt: '[[script:env]]' }));
    const names = (await readFile(join(workspace.paths.work, 'env.txt'), 'utf8')).split('\n');
    expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'SLIPWAY_BUILD_ID']));
    const known =
      /^(PATH|LANG|LC_\w+|HOME|PWD|OLDPWD|SHLVL|_|TMPDIR|TERM|(GIT_|GH_)?PAGER|NO_COLOR|COLORTERM|SLIPWAY_BUILD_ID|SLIPWAY_WORKSPACE|CODEX_\w+|)$/;
    expect(names.filter((name) => !known.test(name))).toEqual([]);
  });
});

test('a program that is not there is not available, and says what to do', async () => {
  const missing = createCodex({ program: '/no/such/codex', environment: ENVIRONMENT, apiKey: 'k', baseUrl: null });
  expect(await missing.probe()).toMatchObject({ available: false, remedy: expect.stringContaining('npm install') });
  const { task } = await bench();
  const { outcome } = await runToEnd(missing, task({ prompt: 'hello' }));
  expect(outcome).toMatchObject({ status: 'failed', reason: 'unavailable', retryable: false });
});
