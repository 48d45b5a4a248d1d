/** The real OpenCode, over the local runtime, with a scripted model on loopback. */
import { chmod, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Agent } from '../../src/agents/agent.ts';
import { createOpenCode } from '../../src/agents/opencode.ts';
import type { OpenCodeAccess } from '../../src/agents/opencode-config.ts';
import { describeAgent } from '../contracts/agent.contract.ts';
import type { AgentHarness } from '../contracts/agent-harness.ts';
import { type AgentBench, ENVIRONMENT, openBench, runToEnd } from '../support/agent-runs.ts';
import { openCheckout } from '../support/checkouts.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { promptFor } from '../support/fake-model/scripts.ts';
import { findAgent, versionOf } from '../support/real-agents.ts';
import { bubblewrap } from '../support/sandbox.ts';

const found = await findAgent('opencode');
const program = 'program' in found ? found.program : 'opencode';
const API_KEY = `sk-opencode-${'0123456789abcdef'.repeat(2)}`;
const STAND_IN = fileURLToPath(new URL('../support/opencode-server.mjs', import.meta.url));
const NOT_OURS = { apiKey: null, baseUrl: null };

let model: FakeModel;
let agent: Agent;

/** A server that speaks as Ollama does, under the name `fake`. */
function accessTo(url: string): OpenCodeAccess {
  const models = { 'fake-model': { cost: { input: 1, output: 5 } }, free: {} };
  const fake = { npm: '@ai-sdk/openai-compatible', options: { baseURL: `${url}/v1` }, models };
  return {
    providers: { fake },
    model: 'fake/fake-model',
    apiKey: API_KEY,
    anthropic: { apiKey: 'sk-ant-test-key', baseUrl: url },
    openai: NOT_OURS,
  };
}

beforeAll(async () => {
  model = await openFakeModel();
  agent = createOpenCode({ program, environment: ENVIRONMENT, access: accessTo(model.url) });
});
afterAll(() => model[Symbol.asyncDispose]());

/** A server of ours in place of OpenCode's. */
const intrudedServer: NonNullable<AgentHarness['intruded']> = async (intrusion, { workspace }) => {
  const standIn = join(workspace.paths.home, 'opencode');
  await writeFile(standIn, `#!/bin/sh\nexec '${process.execPath}' '${STAND_IN}' ${intrusion}\n`);
  await chmod(standIn, 0o700);
  const raw = { garbage: ['without type'], unknown: ['telepathy'], huge: [] }[intrusion];
  const access = accessTo('http://127.0.0.1:1');
  return { agent: createOpenCode({ program: standIn, environment: ENVIRONMENT, access }), prompt: 'hello', raw };
};

async function bench(options: { sandboxed?: boolean } = {}): Promise<AgentBench> {
  const opened = await openBench(options);
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

describe.skipIf('missing' in found)('with the real program', { timeout: 120_000 }, () => {
  describeAgent('opencode', {
    agent: () => agent,
    namesItsSessions: true,
    prompt: promptFor,
    model: () => model,
    unknownSession: 'ses_00000000000000000000000000',
    intruded: intrudedServer,
    differs: {
      'dev server that holds the output of its tool': {
        reason: 'Its tool waits for the server for two minutes: a shorter silence limit of the build ends it.',
        expected: { status: 'failed', reason: 'idle', retryable: false },
        stop: { at: 'ready', why: 'silence_limit' },
      },
    },
  });

  test('it tells what it used and who it is, and asks the model for nothing else', async () => {
    const { task } = await bench();
    const seen = model.prompts.length;
    const { events, outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]' }));
    expect(events.find((event) => event.type === 'started')).toEqual({
      type: 'started',
      sessionId: outcome.sessionId,
      model: 'fake/fake-model',
      agentVersion: versionOf('opencode'),
    });
    expect(outcome.usage).toMatchObject({ inputTokens: 3400, outputTokens: 120, turns: 3, costUsd: 0.004 });
    expect(events.filter((event) => event.type === 'raw')).toEqual([]);
    expect(model.prompts.length - seen).toBe(3);
  });

  test('a model of Anthropic, and one without a price', async () => {
    const anthropic = await bench();
    const wanted = { prompt: '[[script:hello]]', model: 'anthropic/claude-sonnet-4-5' };
    const priced = await runToEnd(agent, anthropic.task(wanted));
    expect(priced.outcome).toMatchObject({ status: 'succeeded', usage: { turns: 3, costUsd: expect.any(Number) } });
    const local = await bench();
    const free = await runToEnd(agent, local.task({ prompt: '[[script:nothing]]', model: 'fake/free' }));
    expect(free.outcome).toMatchObject({ status: 'succeeded', usage: { inputTokens: 1000, costUsd: null } });
  });

  test('the prompt reaches the model as it is, whatever it looks like', async () => {
    const { task, workspace } = await bench();
    await writeFile(join(workspace.paths.work, 'secret.txt'), 'the secret');
    const prompt = '/compact --help @secret.txt "quotes" $HOME !`id` [[script:nothing]]';
    const seen = model.prompts.length;
    const { outcome } = await runToEnd(agent, task({ prompt }));
    expect(outcome.reason).toBe('completed');
    expect(model.prompts.slice(seen).join('\n')).toContain(prompt);
    expect(model.prompts.slice(seen).join('\n')).not.toContain('the secret');
  });

  test('a provider that refuses for ever is asked a few times', async () => {
    const { task } = await bench();
    const { events, outcome } = await runToEnd(agent, task({ prompt: '[[script:e429]]' }));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'rate_limit', retryable: true });
    const retries = events.flatMap((event) => (event.type === 'retry' ? [event.attempt] : []));
    expect(retries).toEqual([1, 2, 3, 4]);
  });

  test('its tools see neither key nor password, and nothing of ours', async () => {
    const { task, workspace } = await bench();
    process.env.SLIPWAY_TEST_SECRET = 'must not leak';
    onTestFinished(() => void delete process.env.SLIPWAY_TEST_SECRET);
    await runToEnd(agent, task({ prompt: '[[script:env]]' }));
    const names = (await readFile(join(workspace.paths.work, 'env.txt'), 'utf8')).split('\n');
    expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'SLIPWAY_BUILD_ID']));
    expect(names.filter((name) => /PASSWORD|KEY|CONFIG_CONTENT/.test(name))).toEqual([]);
    const known =
      /^(PATH|LANG|HOME|PWD|OLDPWD|SHLVL|SHELL|_|TMPDIR|XDG_\w+_HOME|AGENT|SLIPWAY_BUILD_ID|SLIPWAY_WORKSPACE|OPENCODE\w*|)$/;
    expect(names.filter((name) => !known.test(name))).toEqual([]);
  });

  test('a session that began in a repository without a commit goes on in a checkout with one', async () => {
    const first = await bench();
    await execa('git', ['init', '--quiet'], { cwd: first.workspace.paths.work });
    const begun = await runToEnd(agent, first.task({ prompt: 'The number is 4711. [[script:nothing]]' }));
    const second = await bench();
    await cp(first.workspace.paths.home, second.workspace.paths.home, { recursive: true });
    await openCheckout(second.workspace, second);
    const { sessionId } = begun.outcome;
    const seen = model.prompts.length;
    const task = second.task({ prompt: '[[script:nothing]]', resumeSessionId: sessionId });
    const { outcome } = await runToEnd(agent, task);
    expect(outcome).toMatchObject({ status: 'succeeded', sessionId });
    expect(model.prompts.slice(seen).join('\n')).toContain('The number is 4711.');
  });

  test.each([
    [false, []],
    [true, ['mcp-ran', 'plugin-ran']],
  ])('the repository runs its own plugins and servers only when trusted: %s', async (trustRepoConfig, expected) => {
    const { task, workspace } = await bench();
    const { work, home, tmp } = workspace.paths;
    const plugin = (name: string) =>
      `import { writeFileSync } from 'node:fs';\nexport const Evil = async () => { writeFileSync('${join(tmp, name)}', ''); return {}; };\n`;
    const server = { type: 'local', command: ['sh', '-c', `touch ${join(tmp, 'mcp-ran')}`] };
    await writeFile(join(work, 'opencode.json'), JSON.stringify({ mcp: { evil: server } }));
    await mkdir(join(work, '.opencode/plugin'), { recursive: true });
    await writeFile(join(work, '.opencode/plugin/evil.js'), plugin('plugin-ran'));
    // With these OpenCode does not ask npm for the library of plugins.
    await mkdir(join(work, '.opencode/node_modules'));
    const packages = { '': { dependencies: { '@opencode-ai/plugin': '*' } } };
    await writeFile(join(work, '.opencode/package-lock.json'), JSON.stringify({ lockfileVersion: 3, packages }));
    // As an earlier session of the agent could have left them.
    for (const folder of ['.opencode', '.config/opencode']) {
      await mkdir(join(home, folder, 'plugin'), { recursive: true });
      await writeFile(join(home, folder, 'plugin/evil.js'), plugin('home-plugin-ran'));
      await writeFile(join(home, folder, 'opencode.json'), JSON.stringify({ mcp: { evil: server } }));
    }
    const { outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]', trustRepoConfig }));
    expect(outcome.status).toBe('succeeded');
    const ran = (await readdir(tmp)).filter((name) => name.endsWith('-ran'));
    expect(ran.sort()).toEqual(expected);
  });

  test.skipIf(bubblewrap === null)('in the sandbox, with no network but its model', async () => {
    const { task, workspace } = await bench({ sandboxed: true });
    const network = { access: 'NONE', hosts: [] } as const;
    const startedAt = performance.now();
    const { outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]', network }));
    process.stdout.write(`opencode in the sandbox: ${Math.round(performance.now() - startedAt)} ms\n`);
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect(await readFile(join(workspace.paths.work, 'hello.txt'), 'utf8')).toBe('hello\n');
  });
});

test.each([
  [null, 'OpenCode needs a model.'],
  ['opus', 'The model opus must be named as provider/model for OpenCode.'],
  ['mystery/opus', 'The provider mystery is not known to OpenCode on this worker. Known are anthropic, openai, fake;'],
])('a model that cannot be used is refused before anything starts: %s', async (wanted, message) => {
  const { task, workspace } = await bench();
  const access = { ...accessTo(model.url), model: null };
  const strict = createOpenCode({ program, environment: ENVIRONMENT, access });
  const { outcome } = await runToEnd(strict, task({ prompt: 'hello', model: wanted }));
  expect(outcome).toMatchObject({ status: 'failed', reason: 'config', message: expect.stringContaining(message) });
  expect(await workspace.attach((line) => line)).toBeNull();
});

test('a program that is not there is not available, and says what to do', async () => {
  const access = accessTo(model.url);
  const missing = createOpenCode({ program: '/no/such/opencode', environment: ENVIRONMENT, access });
  expect(await missing.probe()).toMatchObject({ available: false, remedy: expect.stringContaining('npm install') });
  const { task } = await bench();
  const { outcome } = await runToEnd(missing, task({ prompt: 'hello' }));
  expect(outcome).toMatchObject({ status: 'failed', reason: 'unavailable', retryable: false });
});
