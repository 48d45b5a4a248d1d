/** ACP agents whose permissions people decide: a small one of our own, and the real adapter of Claude Code. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createAcpAgent } from '../../src/agents/acp.ts';
import type { Agent } from '../../src/agents/agent.ts';
import { type AgentBench, ENVIRONMENT, follow, openBench, runToEnd } from '../support/agent-runs.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { findAgent } from '../support/real-agents.ts';
import { allow, closedIn, deny, nthRequest, requestsOf, resultsIn } from '../support/talks.ts';
import { waitFor } from '../support/wait-for.ts';

const PROGRAM = fileURLToPath(new URL('../support/acp-agent.mjs', import.meta.url));
const asks = { questions: false, permissions: true };

const OWN = {
  environment: ENVIRONMENT,
  keyVariable: null,
  baseUrlVariable: null,
  reaches: [],
  apiKey: null,
  baseUrl: null,
};
const agent = createAcpAgent({ ...OWN, name: 'test', command: [process.execPath, PROGRAM] });

async function bench(): Promise<AgentBench> {
  const opened = await openBench();
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

async function begin(name: string) {
  const { task, workspace, ...rest } = await bench();
  const followed = await follow(agent, task({ prompt: `[[acp:${name}]]`, asks }));
  const answers = () => readFile(join(workspace.paths.tmp, 'answers'), 'utf8').then((text) => text.trim().split('\n'));
  return { ...followed, ...rest, task, workspace, answers };
}

test('what it asks is told with its input, and it goes on as people decide', async () => {
  const { run, events, ended, workspace } = await begin('approve');
  const first = await nthRequest(events, 1);
  expect(first).toEqual({
    type: 'asked',
    requestId: 'permission-1',
    request: {
      kind: 'PERMISSION',
      tool: 'shell',
      input: { command: 'touch one.txt' },
      description: 'touch one.txt',
    },
  });
  await run.tell(allow(first.requestId));
  const second = await nthRequest(events, 2);
  await run.tell(deny(second.requestId, 'Not that one.'));
  await ended;
  expect(closedIn(events)).toEqual([first.requestId, second.requestId]);
  expect(resultsIn(events)).toEqual(['ok', 'denied']);
  expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'permission', denials: ['shell'] });
  expect(run.outcome().finalText).toBe('Answered: yes,no.');
  expect(events.filter(({ type }) => type === 'warning' || type === 'raw')).toEqual([]);
  expect(await readdir(workspace.paths.work)).toEqual(['one.txt']);
});

test('always is for the rest of the run, and leaves no lasting permission in the agent', async () => {
  const { run, events, ended } = await begin('approve');
  await run.tell(allow((await nthRequest(events, 1)).requestId, true));
  await ended;
  expect(run.outcome().finalText).toBe('Answered: yes,yes.');
  expect(requestsOf(events)).toHaveLength(1);
});

test('a word that is given twice, or for nothing, counts once or not at all', async () => {
  const { run, events, ended, answers } = await begin('approve');
  await run.tell(allow('permission-9'));
  const { requestId } = await nthRequest(events, 1);
  await run.tell({ type: 'message', id: 'm', text: 'Heard by nobody.' });
  await run.tell(deny(requestId));
  await run.tell(allow(requestId));
  await run.tell(deny((await nthRequest(events, 2)).requestId));
  await ended;
  expect(await answers()).toEqual(['no', 'no']);
  expect(closedIn(events)).toEqual(['permission-1', 'permission-2']);
  expect(JSON.stringify(events)).not.toContain('Heard by nobody.');
});

test('requests that are open together are answered in any order', async () => {
  const { run, events, ended, workspace } = await begin('together');
  await nthRequest(events, 2);
  await run.tell(deny('permission-2'));
  await run.tell(allow('permission-1'));
  await ended;
  expect(closedIn(events)).toEqual(['permission-2', 'permission-1']);
  expect(await readdir(workspace.paths.work)).toEqual(['one.txt']);
});

test('one that does not wait for the answer closes its request itself', async () => {
  const { run, events, ended } = await begin('impatient');
  await ended;
  expect(closedIn(events)).toEqual(['permission-1']);
  expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed' });
  expect(run.outcome().finalText).toBe('Answered: cancelled.');
});

test('a change of its own files needs nobody, one of others does', async () => {
  const inside = await begin('hello');
  await inside.ended;
  expect(inside.run.outcome().reason).toBe('completed');
  expect(requestsOf(inside.events)).toEqual([]);
  const outside = await begin('outside');
  const asked = await nthRequest(outside.events, 1);
  expect(asked.request).toMatchObject({ kind: 'PERMISSION', tool: 'edit', input: { path: '../../outside.txt' } });
  await outside.run.tell(deny(asked.requestId));
  await outside.ended;
  expect(outside.run.outcome()).toMatchObject({ reason: 'permission', denials: ['edit'] });
});

test('stopped while it waits, it is told that nobody decided, and nothing is left', async () => {
  const { run, events, ended, answers, runtime, workspace } = await begin('approve');
  await nthRequest(events, 1);
  await run.stop('interrupted');
  await ended;
  expect(run.outcome()).toMatchObject({ status: 'cancelled', denials: [] });
  expect(closedIn(events)).toEqual(['permission-1']);
  expect(await answers()).toEqual(['cancelled', 'cancelled']);
  expect(await runtime.sweep(workspace.buildId)).toBe(0);
});

test('a successor finds the request, and answers it', async () => {
  const { task, successor } = await bench();
  const gone = new AbortController();
  const first = await follow(agent, task({ prompt: '[[acp:approve]]', asks, detached: gone.signal }));
  const { requestId } = await nthRequest(first.events, 1);
  const published = first.offsets.at(-1) ?? { stdout: 0, stderr: 0 };
  gone.abort();
  await first.ended;
  const second = await follow(agent, task({ workspace: await successor(), asks, publishedUpTo: published }));
  expect(second.run.reattached).toBe(true);
  await second.run.tell(allow(requestId, true));
  await second.ended;
  expect(requestsOf(second.events)).toEqual([]);
  expect(closedIn(second.events)).toEqual([requestId]);
  expect(second.run.outcome()).toMatchObject({ status: 'succeeded', finalText: 'Answered: yes,yes.' });
});

test('it does not see the inbox', async () => {
  const { ended, workspace } = await begin('env');
  await ended;
  expect(await readFile(join(workspace.paths.work, 'env.txt'), 'utf8')).not.toContain('SLIPWAY_INBOX');
});

const found = await findAgent('claude-agent-acp');

describe.skipIf('missing' in found)('the real adapter of Claude Code', { timeout: 120_000 }, () => {
  let model: FakeModel;
  let claude: Agent;

  beforeAll(async () => {
    model = await openFakeModel();
    claude = createAcpAgent({
      ...OWN,
      name: 'claude',
      command: ['program' in found ? found.program : ''],
      keyVariable: 'ANTHROPIC_API_KEY',
      baseUrlVariable: 'ANTHROPIC_BASE_URL',
      apiKey: 'test-key',
      baseUrl: model.url,
    });
  });
  afterAll(() => model[Symbol.asyncDispose]());

  test('asks before a command, not before a file, and never again after always', async () => {
    const { task, workspace } = await bench();
    const { run, events, ended } = await follow(claude, task({ prompt: '[[script:commands]]', asks }));
    const { requestId, request } = await nthRequest(events, 1);
    expect(request).toMatchObject({ kind: 'PERMISSION', tool: 'Bash', input: { command: 'echo one > one.txt' } });
    await run.tell(allow(requestId, true));
    await ended;
    expect(requestsOf(events)).toHaveLength(1);
    expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect((await readdir(workspace.paths.work)).sort()).toEqual(['hello.txt', 'one.txt', 'two.txt']);
  });

  test('goes on when it was denied', async () => {
    const { task, workspace } = await bench();
    const { run, events, ended } = await follow(claude, task({ prompt: '[[script:commands]]', asks }));
    await run.tell(deny((await nthRequest(events, 1)).requestId));
    await run.tell(allow((await nthRequest(events, 2)).requestId));
    await ended;
    expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'permission', denials: ['Bash'] });
    expect((await readdir(workspace.paths.work)).sort()).toEqual(['hello.txt', 'two.txt']);
  });

  test('a session that was interrupted while it waited is gone on with', async () => {
    const { task, workspace } = await bench();
    const first = await follow(claude, task({ prompt: 'The number is 4711. [[script:commands]]', asks }));
    await nthRequest(first.events, 1);
    await first.run.stop('interrupted');
    await first.ended;
    const { sessionId } = first.run.outcome();
    await workspace.forgetRun();
    const seen = model.prompts.length;
    const { outcome } = await runToEnd(claude, task({ prompt: '[[script:nothing]]', resumeSessionId: sessionId }));
    expect(outcome).toMatchObject({ status: 'succeeded', sessionId });
    expect(model.prompts.slice(seen).join('\n')).toContain('The number is 4711.');
  });

  test('tells at once that its key was refused', async () => {
    const { task } = await bench();
    const { run, events, ended } = await follow(claude, task({ prompt: '[[script:e401]]' }));
    await waitFor(() => events.some(({ type }) => type === 'retry'), { what: 'the first refusal' });
    await run.stop('fail_fast');
    await ended;
    expect(events.find(({ type }) => type === 'retry')).toMatchObject({ reason: 'auth', attempt: 1 });
    expect(run.outcome()).toMatchObject({ status: 'failed', reason: 'auth', retryable: false });
  });
});
