/** Talking to the real Claude Code while it runs, over the local runtime, with a scripted model on loopback. */
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { AgentEvent } from '../../src/agents/agent.ts';
import { createClaudeCode } from '../../src/agents/claude-code.ts';
import { type AgentBench, ENVIRONMENT, type Followed, follow, openBench } from '../support/agent-runs.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { findAgent } from '../support/real-agents.ts';
import { bubblewrap } from '../support/sandbox.ts';
import { openTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

type Asked = Extract<AgentEvent, { type: 'asked' }>;

const EVERYTHING = { questions: true, permissions: true };
const found = await findAgent('claude-code');
const program = 'program' in found ? found.program : 'claude';

let model: FakeModel;
/** In front of the model, so that it can be silent. */
let line: TcpProxy;

beforeAll(async () => {
  model = await openFakeModel();
  line = await openTcpProxy(Number(new URL(model.url).port));
});
afterAll(async () => {
  await line[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

function agentOf(options: { program?: string; environment?: Readonly<Record<string, string>> } = {}) {
  const baseUrl = `http://127.0.0.1:${line.port}`;
  return createClaudeCode({ program, environment: ENVIRONMENT, apiKey: 'test-key', baseUrl, ...options });
}

async function bench(options: { sandboxed?: boolean } = {}): Promise<AgentBench> {
  const opened = await openBench(options);
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

/** The request of this number, counted from 1, as soon as it is there. */
function asked({ events }: Followed, nth = 1): Promise<Asked> {
  const requests = () => events.filter((event) => event.type === 'asked');
  return waitFor(() => requests()[nth - 1], { what: `request ${nth}` });
}

/** Claude Code has it, and will heed it as soon as its turn lets it. */
function queued({ lines }: Followed, messages: number): Promise<unknown> {
  const isQueued = ({ text }: { text: string }) => /"command_lifecycle".*"queued"/.test(text);
  // The prompt is the first.
  return waitFor(() => lines.filter(isQueued).length === messages + 1, { what: `${messages} messages` });
}

function toolResults({ events }: Followed) {
  return events.flatMap((event) =>
    event.type === 'activity' && event.content.kind === 'tool_result' ? [event.content] : [],
  );
}

const typesOf = ({ events }: Followed) => events.map(({ type }) => type);
const countOf = (followed: Followed, type: AgentEvent['type']) =>
  typesOf(followed).filter((one) => one === type).length;

async function isThere(folder: string, name: string): Promise<boolean> {
  return (await readdir(folder)).includes(name);
}

describe.skipIf('missing' in found)('a message', () => {
  test('is heard within the turn, once, however often it is given', async () => {
    const { task, workspace } = await bench();
    const followed = await follow(agentOf(), task({ prompt: '[[script:wait]]' }));
    await waitFor(() => isThere(workspace.paths.work, 'ready'), { what: 'the file ready' });
    const word = { type: 'message', id: 'm1', text: '/compact @secret.txt Use tabs.' } as const;
    await followed.run.tell(word);
    await followed.run.tell(word);
    await queued(followed, 1);
    expect(countOf(followed, 'message_taken')).toBe(0);
    const seen = model.prompts.length;
    await writeFile(join(workspace.paths.work, 'go'), '');
    await followed.ended;
    expect(followed.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed', finalText: 'After.' });
    expect(model.prompts.slice(seen)).toHaveLength(1);
    expect(model.prompts.at(-1)?.split(word.text)).toHaveLength(2);
    expect(followed.events).toContainEqual({ type: 'message_taken', messageId: 'm1' });
    expect(countOf(followed, 'message_taken')).toBe(1);
    expect(countOf(followed, 'turn_finished')).toBe(1);
  });

  test('that comes too late for the turn is one of its own, which may ask too', async () => {
    const { task, workspace } = await bench();
    line.disturb({ kind: 'silence' });
    onTestFinished(() => line.disturb(null));
    const followed = await follow(agentOf(), task({ prompt: '[[script:nothing]]', asks: EVERYTHING }));
    await waitFor(() => typesOf(followed).includes('started'), { what: 'the start' });
    await followed.run.tell({ type: 'message', id: 'm2', text: 'And now this. [[script:approvals]]' });
    await queued(followed, 1);
    line.disturb(null);
    for (const nth of [1, 2, 3]) {
      const { requestId } = await asked(followed, nth);
      await followed.run.tell({ type: 'decision', id: requestId, allow: true, always: false, message: null });
    }
    await followed.ended;
    expect(followed.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect(await readFile(join(workspace.paths.work, 'two.txt'), 'utf8')).toBe('two\n');
    const turns = typesOf(followed).filter((type) => type === 'turn_finished' || type === 'message_taken');
    expect(turns).toEqual(['turn_finished', 'message_taken', 'turn_finished']);
  });

  test('stopped for another one, the agent leaves a session to go on with', async () => {
    const first = await bench();
    line.disturb({ kind: 'silence' });
    onTestFinished(() => line.disturb(null));
    const prompt = 'The number is 4712. [[script:nothing]]';
    const { opened } = line;
    const followed = await follow(agentOf(), first.task({ prompt }));
    await waitFor(() => typesOf(followed).includes('started') && line.opened > opened, { what: 'its request' });
    await followed.run.stop('interrupted');
    await followed.ended;
    expect(followed.run.outcome()).toMatchObject({ status: 'cancelled', sessionId: first.task({}).sessionId });
    line.disturb(null);
    const second = await bench();
    await cp(first.workspace.paths.home, second.workspace.paths.home, { recursive: true });
    const resumeSessionId = followed.run.outcome().sessionId;
    const next = await follow(agentOf(), second.task({ prompt: 'Go on. [[script:again]]', resumeSessionId }));
    await next.ended;
    expect(next.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect(model.prompts.at(-1)).toContain('The number is 4712.');
  });
});

describe.skipIf('missing' in found)('a question', () => {
  test('is asked with its options, and the answers reach the model', async () => {
    const { task } = await bench();
    const followed = await follow(agentOf(), task({ prompt: '[[script:asking]]', asks: EVERYTHING }));
    const { requestId, request } = await asked(followed);
    expect(request).toEqual({
      kind: 'QUESTION',
      questions: [
        {
          question: 'Which colour?',
          header: 'Colour',
          options: [
            { label: 'red', description: 'like a rose' },
            { label: 'blue', description: 'like the sky' },
          ],
          multiple: false,
        },
        {
          question: 'Which sizes?',
          header: 'Size',
          options: [
            { label: 'S', description: 'small' },
            { label: 'L', description: 'large' },
          ],
          multiple: true,
        },
      ],
    });
    await followed.run.tell({ type: 'answer', id: requestId, answers: [['a warm green'], ['S', 'L']] });
    await followed.run.tell({ type: 'answer', id: requestId, answers: [['red'], ['S']] });
    await followed.ended;
    expect(toolResults(followed)).toMatchObject([
      { status: 'ok', output: expect.stringContaining('"Which colour?"="a warm green", "Which sizes?"="S, L"') },
    ]);
    expect(followed.events.filter(({ type }) => type === 'request_closed')).toEqual([
      { type: 'request_closed', requestId },
    ]);
    expect(followed.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed', denials: [] });
  });

  test('that nobody answers holds nothing up', async () => {
    const { task } = await bench();
    const followed = await follow(agentOf(), task({ prompt: '[[script:asking]]', asks: EVERYTHING }));
    const { requestId } = await asked(followed);
    await followed.run.tell({ type: 'answer', id: requestId, answers: null });
    await followed.ended;
    expect(toolResults(followed)).toMatchObject([{ output: expect.stringContaining('Nobody answered.') }]);
    expect(countOf(followed, 'request_closed')).toBe(1);
    expect(followed.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed', denials: [] });
  });

  test('cannot be asked where nobody answers', async () => {
    const { task } = await bench();
    const followed = await follow(agentOf(), task({ prompt: '[[script:asking]]' }));
    await followed.ended;
    expect(countOf(followed, 'asked')).toBe(0);
    expect(toolResults(followed)).toMatchObject([{ output: expect.stringContaining('No such tool') }]);
  });

  test('that is open when a worker dies is answered by its successor', async () => {
    const { task, successor } = await bench();
    const prompt = '[[script:asking]]';
    const dying = new AbortController();
    const first = await follow(agentOf(), task({ prompt, asks: EVERYTHING, detached: dying.signal }));
    const { requestId } = await asked(first);
    dying.abort();
    await first.ended;
    const publishedUpTo = first.offsets.at(-1) ?? { stdout: 0, stderr: 0 };
    const second = await follow(
      agentOf(),
      task({ workspace: await successor(), prompt, asks: EVERYTHING, publishedUpTo }),
    );
    expect(second.run.reattached).toBe(true);
    await second.run.tell({ type: 'answer', id: requestId, answers: [['blue'], []] });
    await second.ended;
    expect(countOf(second, 'asked')).toBe(0);
    expect(second.events).toContainEqual({ type: 'request_closed', requestId });
    expect(toolResults(second)).toMatchObject([{ output: expect.stringContaining('"Which colour?"="blue".') }]);
    expect(second.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed' });
  });

  test('that is open when the run is stopped leaves nothing alive', async () => {
    const { task, runtime, workspace } = await bench();
    const followed = await follow(agentOf(), task({ prompt: '[[script:asking]]', asks: EVERYTHING }));
    await asked(followed);
    await followed.run.stop('cancelled');
    expect(await runtime.sweep(workspace.buildId)).toBe(0);
    await followed.ended;
    expect(followed.run.outcome()).toMatchObject({ status: 'cancelled', reason: 'cancelled' });
  });
});

describe.skipIf('missing' in found)('a permission', () => {
  test('is asked for commands and what lies outside, and given or not each time', async () => {
    const { task, workspace } = await bench();
    const asks = { questions: false, permissions: true };
    const followed = await follow(agentOf(), task({ prompt: '[[script:approvals]]', asks }));
    const first = await asked(followed);
    expect(first.request).toEqual({
      kind: 'PERMISSION',
      tool: 'Bash',
      input: { command: "sh -c 'echo one > one.txt'", description: 'run a command' },
      description: 'run a command',
    });
    const decide = (id: string, allow: boolean, message: string | null) =>
      followed.run.tell({ type: 'decision', id, allow, always: false, message });
    await decide(first.requestId, true, null);
    await decide((await asked(followed, 2)).requestId, false, 'Two is too much.');
    const outside = await asked(followed, 3);
    expect(outside.request).toMatchObject({ kind: 'PERMISSION', tool: 'Write' });
    await decide(outside.requestId, false, null);
    await followed.ended;
    expect(toolResults(followed)).toMatchObject([
      { status: 'ok' },
      { status: 'ok' },
      { status: 'denied', output: 'Two is too much.' },
      { status: 'denied', output: 'This is not allowed. Go on without it.' },
    ]);
    expect((await readdir(workspace.paths.work)).sort()).toEqual(['free.txt', 'one.txt']);
    expect(await isThere(workspace.paths.root, 'outside.txt')).toBe(false);
    expect(countOf(followed, 'request_closed')).toBe(3);
    const denials = ['Bash', 'Write'];
    expect(followed.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'permission', denials });
  });

  test('that is given for always is not asked for again, but for other tools', async () => {
    const { task, workspace } = await bench();
    const followed = await follow(agentOf(), task({ prompt: '[[script:approvals]]', asks: EVERYTHING }));
    const { requestId } = await asked(followed);
    await followed.run.tell({ type: 'decision', id: requestId, allow: true, always: true, message: null });
    const second = await asked(followed, 2);
    expect(second.request).toMatchObject({ kind: 'PERMISSION', tool: 'Write' });
    await followed.run.tell({ type: 'decision', id: second.requestId, allow: false, always: false, message: null });
    await followed.ended;
    expect(await readFile(join(workspace.paths.work, 'two.txt'), 'utf8')).toBe('two\n');
    expect(countOf(followed, 'asked')).toBe(2);
    // Not for the next build.
    expect(await readdir(workspace.paths.work)).not.toContain('.claude');
  });

  test('that nobody can be asked for is denied at once, and it is told', async () => {
    const { task, workspace } = await bench();
    const asks = { questions: true, permissions: false };
    const followed = await follow(agentOf(), task({ prompt: '[[script:approvals]]', asks }));
    await followed.ended;
    expect((await readdir(workspace.paths.work)).sort()).toEqual(['free.txt', 'one.txt', 'two.txt']);
    expect(countOf(followed, 'asked')).toBe(0);
    expect(followed.events).toContainEqual({ type: 'warning', message: expect.stringMatching(/^Write was denied/) });
    expect(followed.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'permission', denials: ['Write'] });
  });
});

describe.skipIf('missing' in found)('the program around it', () => {
  test('leaves nothing alive when it is killed', async () => {
    const { task, runtime, workspace } = await bench();
    const followed = await follow(agentOf(), task({ prompt: '[[script:parentless]]' }));
    await followed.ended;
    expect(followed.run.outcome()).toMatchObject({ status: 'failed', reason: 'crash', retryable: true });
    await followed.run.stop('linger');
    expect(await runtime.sweep(workspace.buildId)).toBe(0);
  });

  test.skipIf(bubblewrap === null)(
    'finds it in the sandbox, where it is a link in PATH, and is heard there',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'slipway-path-'));
      onTestFinished(() => rm(folder, { recursive: true }));
      await symlink(program, join(folder, 'claude'));
      const environment = { ...ENVIRONMENT, PATH: `${folder}:${ENVIRONMENT.PATH}` };
      const { task } = await bench({ sandboxed: true });
      const network = { access: 'NONE', hosts: [] } as const;
      const agent = agentOf({ program: 'claude', environment });
      const followed = await follow(agent, task({ prompt: '[[script:asking]]', asks: EVERYTHING, network }));
      const { requestId } = await asked(followed);
      await followed.run.tell({ type: 'answer', id: requestId, answers: [['blue'], ['S']] });
      await followed.ended;
      expect(toolResults(followed)).toMatchObject([{ output: expect.stringContaining('"Which colour?"="blue"') }]);
      expect(followed.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed' });
    },
  );
});
