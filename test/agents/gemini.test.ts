/** The real Gemini CLI, over the local runtime, with a scripted model on loopback. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Agent } from '../../src/agents/agent.ts';
import { createGemini } from '../../src/agents/gemini.ts';
import { describeAgent } from '../contracts/agent.contract.ts';
import { intrudedRecording } from '../contracts/agent-lines.ts';
import { type AgentBench, ENVIRONMENT, openBench, runToEnd } from '../support/agent-runs.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { promptFor } from '../support/fake-model/scripts.ts';
import { findAgent, versionOf } from '../support/real-agents.ts';
import { bubblewrap } from '../support/sandbox.ts';

/** Without one it asks a model which model to ask. */
const MODEL = 'gemini-2.5-pro';

const found = await findAgent('gemini');
const program = 'program' in found ? found.program : 'gemini';

let model: FakeModel;
let agent: Agent;

beforeAll(async () => {
  model = await openFakeModel();
  agent = createGemini({ program, environment: ENVIRONMENT, apiKey: 'test-key', baseUrl: model.url });
});
afterAll(() => model[Symbol.asyncDispose]());

async function bench(options: { sandboxed?: boolean } = {}): Promise<AgentBench> {
  const opened = await openBench(options);
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return { ...opened, task: (changes) => opened.task({ model: MODEL, ...changes }) };
}

describe.skipIf('missing' in found)('with the real program', () => {
  describeAgent('gemini', {
    agent: () => ({ ...agent, open: (task) => agent.open({ ...task, model: MODEL }) }),
    prompt: promptFor,
    model: () => model,
    intruded: intrudedRecording({
      transcript: 'gemini-success',
      create: (standIn) => createGemini({ program: standIn, environment: ENVIRONMENT, apiKey: 'k', baseUrl: null }),
    }),
    // It waits five seconds before it tries again, and longer each time.
    caps: { maxRetries: 0 },
    differs: {
      'tool denied': {
        reason: 'It calls a path outside of the checkout a mistake of the model: the tool has failed.',
        expected: { status: 'succeeded', reason: 'completed', retryable: false },
      },
      'dev server that holds the output of its tool': {
        reason: 'Its tool waits for the server: the silence limit of the build ends it.',
        expected: { status: 'failed', reason: 'idle', retryable: false },
        stop: { at: 'ready', why: 'silence_limit' },
      },
      'answer cut off': {
        reason: 'It says success and nothing of why the answer ended.',
        expected: { status: 'succeeded', reason: 'completed', retryable: false },
      },
    },
    cannot: {
      'command fails': 'It does not tell how a command ended.',
      budget: 'It does not tell what it costs.',
    },
  });

  test('the probe tells its version', async () => {
    expect(await agent.probe()).toEqual({ available: true, version: versionOf('gemini') });
  });

  test('it tells what it used and who it is', async () => {
    const { task } = await bench();
    const { events, outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]' }));
    expect(events.find((event) => event.type === 'started')).toMatchObject({
      sessionId: task({}).sessionId,
      model: MODEL,
    });
    expect(outcome.usage).toMatchObject({ inputTokens: 3400, outputTokens: 120, costUsd: null });
    expect(events.filter((event) => event.type === 'raw')).toEqual([]);
  });

  test('the prompt reaches the model as it is, whatever it looks like', async () => {
    const { task } = await bench();
    const prompt = '/compress --help @secret.txt "quotes" $HOME `id` [[script:nothing]]';
    const seen = model.prompts.length;
    const { outcome } = await runToEnd(agent, task({ prompt }));
    expect(outcome.reason).toBe('completed');
    expect(model.prompts.slice(seen).join('\n')).toContain(prompt);
  });

  test('its tools see the allow-list, and neither what is ours nor the key', async () => {
    const { task, workspace } = await bench();
    process.env.SLIPWAY_TEST_SECRET = 'must not leak';
    onTestFinished(() => void delete process.env.SLIPWAY_TEST_SECRET);
    await runToEnd(agent, task({ prompt: '[[script:env]]' }));
    const names = (await readFile(join(workspace.paths.work, 'env.txt'), 'utf8')).split('\n');
    expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'SLIPWAY_BUILD_ID']));
    const known =
      /^(PATH|LANG|HOME|PWD|OLDPWD|SHLVL|_|TMPDIR|TERM|(GIT_|GH_)?PAGER|NO_BROWSER|DBUS_SESSION_BUS_ADDRESS|DISPLAY|GCM_INTERACTIVE|GH_PROMPT_DISABLED|SSH_ASKPASS|SLIPWAY_BUILD_ID|SLIPWAY_WORKSPACE|GEMINI_(CLI|SANDBOX)\w*|GOOGLE_GEMINI_BASE_URL|GIT_\w+|)$/;
    expect(names.filter((name) => !known.test(name))).toEqual([]);
  });

  test.skipIf(bubblewrap === null)('it works in the sandbox, with no network but that to its model', async () => {
    const { task, workspace } = await bench({ sandboxed: true });
    const network = { access: 'NONE', hosts: [] } as const;
    const { outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]', network }));
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect(await readFile(join(workspace.paths.work, 'hello.txt'), 'utf8')).toBe('hello\n');
  });
});

test('a program that is not there is not available, and says what to do', async () => {
  const missing = createGemini({ program: '/no/such/gemini', environment: ENVIRONMENT, apiKey: 'k', baseUrl: null });
  expect(await missing.probe()).toMatchObject({ available: false, remedy: expect.stringContaining('npm install') });
  const { task } = await bench();
  const { outcome } = await runToEnd(missing, task({ prompt: 'hello' }));
  expect(outcome).toMatchObject({ status: 'failed', reason: 'unavailable', retryable: false });
});
