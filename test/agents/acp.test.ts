/** ACP agents over the local runtime: a small one of our own that can misbehave, and the real adapter of Claude Code. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type AcpOptions, createAcpAgent } from '../../src/agents/acp.ts';
import type { Agent } from '../../src/agents/agent.ts';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import { describeAgent } from '../contracts/agent.contract.ts';
import { type AgentBench, ENVIRONMENT, follow, openBench, runToEnd } from '../support/agent-runs.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { promptFor } from '../support/fake-model/scripts.ts';
import { findAgent, versionOf } from '../support/real-agents.ts';
import { bubblewrap, sandboxOf } from '../support/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';

const PROGRAM = fileURLToPath(new URL('../support/acp-agent.mjs', import.meta.url));
const SUPPORT = fileURLToPath(new URL('../support', import.meta.url));

/** What the agent says of its own in the turn `unknown`. */
const UNKNOWN = ['session/update telepathy', '_news/of/tomorrow', 'fs/read_text_file'];

function testAgent(mode = '', changes: Partial<AcpOptions> = {}): Agent {
  return createAcpAgent({
    name: 'test',
    command: [process.execPath, PROGRAM, mode],
    environment: ENVIRONMENT,
    keyVariable: null,
    baseUrlVariable: null,
    reaches: [],
    apiKey: null,
    baseUrl: null,
    ...changes,
  });
}

async function bench(): Promise<AgentBench> {
  const opened = await openBench();
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

async function runTurn(name: string, agent = testAgent()) {
  const { task, workspace, runtime } = await bench();
  const ran = await runToEnd(agent, task({ prompt: `[[acp:${name}]]` }));
  return { ...ran, work: workspace.paths.work, alive: () => runtime.sweep(workspace.buildId) };
}

describeAgent('acp:test', {
  agent: () => testAgent(),
  namesItsSessions: true,
  prompt: (script) => `[[acp:${script}]]`,
  intruded: async (intrusion) => ({
    agent: testAgent(),
    prompt: `[[acp:${intrusion}]]`,
    raw: { garbage: ['not a message', 'answer without a question'], unknown: UNKNOWN, huge: [] }[intrusion],
  }),
  cannot: {
    subagent: 'The protocol knows none: what they do is calls of tools.',
    'cancel in retry phase': 'The protocol has no word for a retry.',
    'session resume after SIGKILL': 'The agent of the test has no memory.',
  },
});

describe('a turn', () => {
  test('is told with its session, model, version, tokens and cost', async () => {
    const { events, outcome } = await runTurn('hello');
    expect(events[0]).toEqual({ type: 'started', sessionId: 'session-1', model: 'small', agentVersion: '1.2.3' });
    const usage = { inputTokens: 7, outputTokens: 3, cacheReadTokens: 2, cacheWriteTokens: null, turns: null };
    expect(outcome).toMatchObject({ finalText: 'Done: hello.txt is written.', usage: { ...usage, costUsd: 0.25 } });
    expect(events.filter((event) => event.type === 'raw')).toEqual([]);
  });

  test('is given the prompt as text that is no command, whatever it begins with', async () => {
    const { task, workspace } = await bench();
    await runToEnd(testAgent(), task({ prompt: '/compact "quotes" $HOME [[acp:nothing]]' }));
    const prompt = await readFile(join(workspace.paths.home, 'acp-prompt'), 'utf8');
    expect(prompt).toMatch(/^You work unattended: .*\n\n\/compact "quotes" \$HOME \[\[acp:nothing\]\]$/);
  });

  test.each([
    ['mystery', 'agent_error'],
    ['closed', 'crash'],
  ])('%s fails with %s', async (name, reason) => {
    const { outcome, alive } = await runTurn(name);
    expect(outcome).toMatchObject({ status: 'failed', reason, message: expect.stringMatching(/./) });
    expect(await alive()).toBe(0);
  });

  test('a change outside of the build’s folders is denied, and it is told', async () => {
    const { events, outcome, work } = await runTurn('outside');
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'permission', denials: ['edit'] });
    expect(events).toContainEqual({ type: 'warning', message: expect.stringMatching(/^edit was denied: .* outside/) });
    expect(await readdir(join(work, '../..'))).not.toContain('outside.txt');
  });

  test('a tool is asked for as often as the agent wants, and shown once', async () => {
    const { events, outcome } = await runTurn('twice');
    expect(outcome.finalText).toBe('Asked twice: true,true.');
    expect(events.filter((event) => event.type === 'activity' && event.content.kind !== 'message')).toHaveLength(2);
  });
});

describe('an agent that misbehaves', () => {
  test('garbage is counted and forges nothing', async () => {
    const { events, lines, outcome } = await runTurn('garbage');
    expect(outcome).toMatchObject({ status: 'succeeded', finalText: 'Still here.' });
    expect(events.filter((event) => event.type === 'raw').length).toBeGreaterThanOrEqual(4);
    expect(lines.map(({ text }) => text)).toContain('this is no JSON');
  });

  test('a line that is too long is a warning, and the next one is read', async () => {
    const { events, outcome } = await runTurn('huge');
    expect(events).toContainEqual({ type: 'warning', message: 'A line was too long and was ignored.' });
    expect(outcome.status).toBe('succeeded');
    expect(outcome.finalText).toHaveLength(64 * 1024);
  });

  test('what nobody knows is answered so, and counted', async () => {
    const { events, outcome } = await runTurn('unknown');
    expect(outcome.finalText).toBe('The error was -32601.');
    const names = events.flatMap((event) => (event.type === 'raw' ? [event.name] : []));
    expect(names).toEqual(['session/update telepathy', '_news/of/tomorrow', 'fs/read_text_file']);
  });

  test('one that asks and does not listen is ended', async () => {
    const { outcome, alive } = await runTurn('deaf');
    expect(outcome).toMatchObject({ status: 'failed', reason: 'agent_error', message: /does not read/ });
    expect(await alive()).toBe(0);
  });

  test.each([
    ['broken', {}, 'config', /acp:test did not start.*exit code 2.*broken: no such option/],
    ['mute', { startTimeoutMs: 300 }, 'unavailable', /did not answer initialize within 0.3 s/],
    ['future', {}, 'config', /version 2 of ACP/],
    ['', { command: ['/no/such/agent'] as const }, 'unavailable', /could not be started/],
  ])('%s %j fails with %s', async (mode, changes, reason, message) => {
    const { outcome, alive } = await runTurn('nothing', testAgent(mode, changes));
    expect(outcome).toMatchObject({ status: 'failed', reason, retryable: false });
    expect(outcome.message).toMatch(message);
    expect(await alive()).toBe(0);
  });

  test('one that writes to stderr without end, and minds no signal, is dead when it was stopped', async () => {
    const { task, runtime, workspace } = await bench();
    const { run, ended } = await follow(testAgent(), task({ prompt: '[[acp:chatter]]' }));
    await waitFor(() => isThere(workspace.paths.work, 'ready'), { what: 'the file ready' });
    const startedAt = performance.now();
    await run.stop('cancelled');
    process.stdout.write(`a stubborn ACP agent: dead after ${Math.round(performance.now() - startedAt)} ms\n`);
    expect(await runtime.sweep(workspace.buildId)).toBe(0);
    await ended;
    expect(run.outcome()).toMatchObject({ status: 'cancelled' });
  });
});

test('a turn is cancelled softly before its agent is ended', async () => {
  const { task, workspace } = await bench();
  const { run, ended } = await follow(testAgent(), task({ prompt: '[[acp:cancelled]]' }));
  const { work } = workspace.paths;
  await waitFor(() => isThere(work, 'ready'), { what: 'the file ready' });
  await run.stop('wall_limit');
  await ended;
  expect(await readFile(join(work, 'was-cancelled'), 'utf8')).toBe('softly');
  expect(run.outcome()).toMatchObject({ status: 'failed', reason: 'timeout' });
});

describe('sessions and models', () => {
  test('a later build goes on with the session, and is not told of what was', async () => {
    const first = await bench();
    const sessionId = (await runToEnd(testAgent(), first.task({ prompt: '[[acp:hello]]' }))).outcome.sessionId;
    const second = await bench();
    await cp(first.workspace.paths.home, second.workspace.paths.home, { recursive: true });
    const task = second.task({ prompt: '[[acp:nothing]]', resumeSessionId: sessionId });
    const { events, outcome } = await runToEnd(testAgent(), task);
    expect(outcome).toMatchObject({ status: 'succeeded', sessionId });
    expect(JSON.stringify(events)).not.toContain('An old message.');
  });

  test.each([
    ['', 'not_found', /Not here/],
    ['forgetful', 'config', /cannot go on with an earlier session/],
  ])('a session that is not there: %s', async (mode, reason, message) => {
    const { task } = await bench();
    const { outcome } = await runToEnd(testAgent(mode), task({ resumeSessionId: 'session-9' }));
    expect(outcome).toMatchObject({ status: 'failed', reason, retryable: false });
    expect(outcome.message).toMatch(message);
  });

  test('a model is chosen, or the build is told that it cannot be', async () => {
    const { task } = await bench();
    const { events } = await runToEnd(testAgent(), task({ model: 'large' }));
    expect(events[0]).toMatchObject({ type: 'started', model: 'large' });
    const other = await bench();
    const { outcome } = await runToEnd(testAgent('fixed'), other.task({ model: 'large' }));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'config', message: /leave the model out/ });
  });
});

describe('the environment', () => {
  const keyed = { keyVariable: 'TEST_API_KEY', baseUrlVariable: 'TEST_BASE_URL' };

  async function environmentOf(agent: Agent, changes: Parameters<AgentBench['task']>[0] = {}) {
    const { task, workspace } = await bench();
    await runToEnd(agent, task({ prompt: '[[acp:env]]', ...changes }));
    const text = await readFile(join(workspace.paths.work, 'env.txt'), 'utf8');
    return new Map(
      text.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  }

  test('is the allow-list, the own folders and the own key, and nothing of ours', async () => {
    process.env.SLIPWAY_TEST_SECRET = 'must not leak';
    onTestFinished(() => void delete process.env.SLIPWAY_TEST_SECRET);
    const agent = testAgent('', { ...keyed, apiKey: 'own-key', baseUrl: 'http://127.0.0.1:1' });
    const environment = await environmentOf(agent);
    expect(environment.get('TEST_API_KEY')).toBe('own-key');
    expect(environment.get('TEST_BASE_URL')).toBe('http://127.0.0.1:1');
    const known =
      /^(PATH|LANG|HOME|PWD|OLDPWD|SHLVL|_|TMPDIR|XDG_RUNTIME_DIR|SLIPWAY_BUILD_ID|SLIPWAY_WORKSPACE|TEST_\w+)$/;
    expect([...environment.keys()].filter((name) => !known.test(name))).toEqual([]);
  });

  test('a credential replaces the worker’s key and its address together', async () => {
    const agent = testAgent('', { ...keyed, apiKey: 'own-key', baseUrl: 'http://127.0.0.1:1' });
    const environment = await environmentOf(agent, { modelKey: { key: 'project-key', baseUrl: null } });
    expect(environment.get('TEST_API_KEY')).toBe('project-key');
    expect(environment.has('TEST_BASE_URL')).toBe(false);
  });

  test('a key for an address that the agent cannot be told goes nowhere', async () => {
    const { task, workspace } = await bench();
    const agent = testAgent('', { keyVariable: 'TEST_API_KEY' });
    const modelKey = { key: 'project-key', baseUrl: 'http://gateway.test/v1' };
    const { outcome } = await runToEnd(agent, task({ modelKey }));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'config', message: /http:\/\/gateway.test/ });
    expect(await workspace.attach((line) => line)).toBeNull();
  });
});

describe('the probe', () => {
  test('asks who it is, and leaves nothing behind', async () => {
    expect(await testAgent().probe()).toEqual({ available: true, version: '1.2.3' });
    expect(await leftByProbe(testAgent())).toEqual([]);
  });

  test.each([
    ['broken', {}, /exit code 2.*broken: no such option/],
    ['', { command: ['/no/such/agent'] as const }, /could not be started/],
  ])('says what is wrong: %s %j', async (mode, changes, reason) => {
    const probed = await testAgent(mode, changes).probe();
    expect(probed).toMatchObject({ available: false, remedy: expect.stringContaining('SLIPWAY_ACP_AGENTS') });
    expect('reason' in probed && probed.reason).toMatch(reason);
  });
});

test.skipIf(bubblewrap === null)('in the sandbox it works and is cancelled just the same', async () => {
  const { workspace: outside, task } = await bench();
  const folder = join(outside.paths.tmp, 'data');
  await mkdir(folder);
  const sandbox = sandboxOf(folder);
  const runtime = await openLocalRuntime({ folder, sandbox: { ...sandbox, readable: [SUPPORT] } });
  const workspace = await runtime.open('sandboxed');
  onTestFinished(async () => void (await runtime.sweep('sandboxed')));
  const { outcome } = await runToEnd(testAgent(), task({ workspace, prompt: '[[acp:hello]]' }));
  expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });
  const other = await runtime.open('cancelled');
  const { run, ended } = await follow(testAgent(), task({ workspace: other, prompt: '[[acp:cancelled]]' }));
  await waitFor(() => isThere(other.paths.work, 'ready'), { what: 'the file ready' });
  await run.stop('cancelled');
  await ended;
  expect(await readdir(other.paths.work)).toContain('was-cancelled');
});

const found = await findAgent('claude-agent-acp');

describe.skipIf('missing' in found)('the real adapter of Claude Code', () => {
  let model: FakeModel;
  let agent: Agent;

  beforeAll(async () => {
    model = await openFakeModel();
    agent = createAcpAgent({
      name: 'claude',
      command: ['program' in found ? found.program : ''],
      // By itself it tries ten times.
      environment: { ...ENVIRONMENT, CLAUDE_CODE_MAX_RETRIES: '3' },
      keyVariable: 'ANTHROPIC_API_KEY',
      baseUrlVariable: 'ANTHROPIC_BASE_URL',
      reaches: [],
      apiKey: 'test-key',
      baseUrl: model.url,
    });
  });
  afterAll(() => model[Symbol.asyncDispose]());

  describeAgent('acp:claude', {
    agent: () => agent,
    namesItsSessions: true,
    prompt: promptFor,
    model: () => model,
    cannot: {
      'max turns': 'The protocol tells nobody how many turns an agent has taken.',
      budget: 'It tells what it costs only at the end of its turn.',
      'huge lines': 'Played with the agent of the test: what reads the lines is the same.',
      'garbage lines': 'Played with the agent of the test: what reads the lines is the same.',
      'unknown events': 'Played with the agent of the test: what reads the lines is the same.',
    },
  });

  test('the probe tells its version, and nothing that it started writes on', async () => {
    expect(await agent.probe()).toEqual({ available: true, version: versionOf('claude-agent-acp') });
    expect(await leftByProbe(agent)).toEqual([]);
  });

  test('it tells its cost, takes a model, and says nothing that we do not know', async () => {
    const { task } = await bench();
    const { events, outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]', model: 'sonnet' }));
    expect(events[0]).toMatchObject({ model: 'sonnet', agentVersion: versionOf('claude-agent-acp') });
    expect(outcome.usage).toMatchObject({ inputTokens: 3400, outputTokens: 120, costUsd: expect.any(Number) });
    expect(events.filter((event) => event.type === 'raw')).toEqual([]);
  });

  test.each([
    [false, []],
    [true, ['hook-ran', 'mcp-ran']],
  ])('the repository runs its own hooks and servers only when trusted: %s', async (trustRepoConfig, expected) => {
    const { task, workspace } = await bench();
    const { work, tmp } = workspace.paths;
    await mkdir(join(work, '.claude'));
    const touch = (name: string) => `touch ${join(tmp, name)}`;
    const hook = [{ hooks: [{ type: 'command', command: touch('hook-ran') }] }];
    const settings = { hooks: { SessionStart: hook }, enableAllProjectMcpServers: true };
    await writeFile(join(work, '.claude/settings.json'), JSON.stringify(settings));
    const server = { command: 'sh', args: ['-c', touch('mcp-ran')] };
    await writeFile(join(work, '.mcp.json'), JSON.stringify({ mcpServers: { evil: server } }));
    const { outcome } = await runToEnd(agent, task({ prompt: '[[script:hello]]', trustRepoConfig }));
    expect(outcome.status).toBe('succeeded');
    expect((await readdir(tmp)).filter((name) => name.endsWith('-ran')).sort()).toEqual(expected);
  });
});

/** What a probe has left in a folder for temporary files of its own. */
async function leftByProbe(agent: Agent): Promise<string[]> {
  const { workspace } = await bench();
  vi.stubEnv('TMPDIR', workspace.paths.tmp);
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(await agent.probe()).toMatchObject({ available: true });
  return readdir(workspace.paths.tmp);
}

async function isThere(folder: string, name: string): Promise<boolean> {
  return (await readdir(folder)).includes(name);
}
