/** The real OpenCode, talked to while it runs. */
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Agent, AgentEvent, AgentTask } from '../../src/agents/agent.ts';
import { createOpenCode } from '../../src/agents/opencode.ts';
import { type AgentBench, ENVIRONMENT, follow, openBench, runToEnd } from '../support/agent-runs.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { findAgent } from '../support/real-agents.ts';
import { bubblewrap } from '../support/sandbox.ts';
import { allow, closedIn, deny, nthRequest, requestsOf, resultsIn } from '../support/talks.ts';
import { waitFor } from '../support/wait-for.ts';

const found = await findAgent('opencode');
const program = 'program' in found ? found.program : 'opencode';
const LOSING = fileURLToPath(new URL('../support/opencode-losing.mjs', import.meta.url));
const QUESTIONS = { questions: true, permissions: false };
const PERMISSIONS = { questions: false, permissions: true };
const NOT_OURS = { apiKey: null, baseUrl: null };

let model: FakeModel;

beforeAll(async () => {
  model = await openFakeModel();
});
afterAll(() => model[Symbol.asyncDispose]());

function openCode(path = program): Agent {
  const fake = {
    npm: '@ai-sdk/openai-compatible',
    options: { baseURL: `${model.url}/v1` },
    models: { 'fake-model': {} },
  };
  const access = {
    providers: { fake },
    model: 'fake/fake-model',
    apiKey: 'a-key',
    anthropic: NOT_OURS,
    openai: NOT_OURS,
  };
  return createOpenCode({ program: path, environment: ENVIRONMENT, access });
}

async function bench(options: { sandboxed?: boolean } = {}): Promise<AgentBench> {
  const opened = await openBench(options);
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

async function begin(prompt: string, asks: AgentTask['asks'], options: { sandboxed?: boolean } = {}) {
  const { task, workspace, ...rest } = await bench(options);
  const seen = model.prompts.length;
  const followed = await follow(openCode(), task({ prompt, asks }));
  return { ...followed, ...rest, task, workspace, prompts: () => model.prompts.slice(seen) };
}

function takenIn(events: readonly AgentEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'message_taken' ? [event.messageId] : []));
}

function outputsIn(events: readonly AgentEvent[]): string {
  return events
    .flatMap((event) =>
      event.type === 'activity' && event.content.kind === 'tool_result' ? [event.content.output] : [],
    )
    .join('\n');
}

function exists(folder: string, name: string): Promise<boolean> {
  return readdir(folder).then((names) => names.includes(name));
}

describe.skipIf('missing' in found)('with the real program', { timeout: 120_000 }, () => {
  test('a message is heard within the turn, once, and the turn ends once', async () => {
    const { run, events, ended, workspace, prompts } = await begin('[[script:wait]]', QUESTIONS);
    const { work } = workspace.paths;
    await waitFor(() => exists(work, 'ready'), { deadlineMs: 60_000, what: 'the file ready' });
    const word = { type: 'message', id: 'm-1', text: 'Think of the BLUE one.' } as const;
    await run.tell(word);
    await run.tell(word);
    await run.tell({ type: 'message', id: 'm-2', text: 'And of the GREEN one.' });
    await writeFile(join(work, 'go'), '');
    await ended;
    expect(takenIn(events)).toEqual(['m-1', 'm-2']);
    expect(events.filter(({ type }) => type === 'turn_finished')).toHaveLength(1);
    expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed' });
    expect(prompts().at(0)).not.toContain('BLUE');
    expect(prompts().at(-1)?.split('BLUE')).toHaveLength(2);
    expect(prompts().at(-1)).toContain('GREEN');
    expect(events.filter(({ type }) => type === 'raw')).toEqual([]);
  });

  test('a message at the very end is heard, or it was not taken', async () => {
    const { run, events, ended, prompts } = await begin('[[script:nothing]]', QUESTIONS);
    const hasSaid = () => events.some((event) => event.type === 'activity' && event.content.kind === 'message');
    await waitFor(hasSaid, { deadlineMs: 60_000, what: 'the last word' });
    await run.tell({ type: 'message', id: 'm-1', text: 'One more thing: LATE.' });
    await ended;
    expect(run.outcome().status).toBe('succeeded');
    expect(takenIn(events).length > 0).toBe(prompts().some((text) => text.includes('LATE')));
  });

  test('a message before the turn is heard after the prompt', async () => {
    const { run, events, ended, prompts } = await begin('The prompt. [[script:hello]]', QUESTIONS);
    await run.tell({ type: 'message', id: 'm-1', text: 'An EARLY word.' });
    await ended;
    expect(takenIn(events)).toEqual(['m-1']);
    expect(prompts().at(-1)).toMatch(/The prompt\.[\s\S]*An EARLY word\./);
    expect(run.outcome().status).toBe('succeeded');
  });

  test('a question is asked with its options, and goes on with what people say', async () => {
    const { run, events, ended, prompts } = await begin('[[script:asking]]', QUESTIONS);
    const { requestId, request } = await nthRequest(events, 1);
    expect(request).toMatchObject({
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
        { question: 'Which sizes?' },
      ],
    });
    await run.tell({ type: 'answer', id: requestId, answers: [['blue'], ['S', 'something else']] });
    await run.tell({ type: 'answer', id: requestId, answers: [['red'], []] });
    await ended;
    expect(closedIn(events)).toEqual([requestId]);
    expect(outputsIn(events)).toContain('"Which colour?"="blue", "Which sizes?"="S, something else"');
    expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed', denials: [] });
    expect(prompts().at(0)).toContain('people can be asked');
  });

  test('where nobody answered it goes on as it sees fit', async () => {
    const { run, events, ended } = await begin('[[script:asking]]', QUESTIONS);
    const { requestId } = await nthRequest(events, 1);
    await run.tell({ type: 'answer', id: requestId, answers: null });
    await ended;
    expect(outputsIn(events).split('Nobody answered. Decide as you see fit.')).toHaveLength(3);
    expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'completed', finalText: 'I go on.' });
  });

  test('a command is allowed once, the next one is denied with a word, and it goes on', async () => {
    const { run, events, ended, workspace } = await begin('[[script:commands]]', PERMISSIONS);
    const first = await nthRequest(events, 1);
    expect(first.request).toEqual({
      kind: 'PERMISSION',
      tool: 'bash',
      input: { command: 'echo one > one.txt' },
      description: '“Always” would allow: echo *',
    });
    await run.tell(allow(first.requestId));
    const second = await nthRequest(events, 2);
    await run.tell(deny(second.requestId, 'One is enough.'));
    await ended;
    expect(closedIn(events)).toEqual([first.requestId, second.requestId]);
    expect(resultsIn(events)).toEqual(['ok', 'ok', 'denied']);
    expect(outputsIn(events)).toContain('One is enough.');
    expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'permission', denials: ['bash'] });
    expect((await readdir(workspace.paths.work)).sort()).toEqual(['hello.txt', 'one.txt']);
  });

  test('always is for the rest of the run, and not for the next one', async () => {
    const { run, events, ended, task, workspace } = await begin('[[script:commands]]', PERMISSIONS);
    const { requestId } = await nthRequest(events, 1);
    await run.tell(allow(requestId, true));
    await ended;
    expect(requestsOf(events)).toHaveLength(1);
    expect((await readdir(workspace.paths.work)).sort()).toEqual(['hello.txt', 'one.txt', 'two.txt']);
    const { sessionId } = run.outcome();
    await workspace.forgetRun();
    const again = task({ prompt: '[[script:commands]]', asks: PERMISSIONS, resumeSessionId: sessionId });
    const next = await follow(openCode(), again);
    await nthRequest(next.events, 1);
    await next.run.stop('cancelled');
    await next.ended;
  });

  test('a denial does not end the turn, though it denies what is asked together with it', async () => {
    const { run, events, ended } = await begin('[[script:pair]]', PERMISSIONS);
    await nthRequest(events, 2);
    await run.tell(deny(requestsOf(events)[0]?.requestId ?? ''));
    await ended;
    expect(closedIn(events).sort()).toEqual(
      requestsOf(events)
        .map(({ requestId }) => requestId)
        .sort(),
    );
    expect(resultsIn(events)).toEqual(['denied', 'denied']);
    expect(run.outcome()).toMatchObject({ status: 'succeeded', reason: 'permission', finalText: 'I tried both.' });
  });

  test('subagents ask, too, and so does a file outside of the checkout', async () => {
    const { run, events, ended } = await begin('[[script:subagent]]', PERMISSIONS);
    const { requestId, request } = await nthRequest(events, 1);
    expect(request).toMatchObject({ tool: 'bash', input: { command: 'echo done > by-subagent.txt' } });
    await run.tell(allow(requestId, true));
    const next = await nthRequest(events, 2);
    await run.tell(allow(next.requestId, true));
    await ended;
    expect(run.outcome().status).toBe('succeeded');
    const outside = await begin('[[script:outside]]', PERMISSIONS);
    const asked = await nthRequest(outside.events, 1);
    expect(asked.request).toMatchObject({ kind: 'PERMISSION', tool: 'external_directory' });
    await outside.run.tell(deny(asked.requestId));
    await outside.ended;
    expect(outside.run.outcome()).toMatchObject({ status: 'succeeded', reason: 'permission', denials: ['write'] });
  });

  test('stopped while it waits, nothing is left, and the session is gone on with', async () => {
    const first = await begin('The number is 4711. [[script:commands]]', PERMISSIONS);
    await nthRequest(first.events, 1);
    await first.run.stop('interrupted');
    await first.ended;
    expect(first.run.outcome()).toMatchObject({ status: 'cancelled' });
    expect(await first.runtime.sweep(first.workspace.buildId)).toBe(0);
    const { sessionId } = first.run.outcome();
    await first.workspace.forgetRun();
    const { outcome } = await runToEnd(
      openCode(),
      first.task({ prompt: '[[script:nothing]]', resumeSessionId: sessionId }),
    );
    expect(outcome).toMatchObject({ status: 'succeeded', sessionId });
    expect(first.prompts().at(-1)).toContain('The number is 4711.');
  });

  test('a successor finds the question, and answers it', async () => {
    const { task, successor } = await bench();
    const gone = new AbortController();
    const agent = openCode();
    const given = { prompt: '[[script:asking]]', asks: QUESTIONS };
    const first = await follow(agent, task({ ...given, detached: gone.signal }));
    const { requestId } = await nthRequest(first.events, 1);
    const publishedUpTo = first.offsets.at(-1) ?? { stdout: 0, stderr: 0 };
    gone.abort();
    await first.ended;
    const second = await follow(agent, task({ ...given, workspace: await successor(), publishedUpTo }));
    expect(second.run.reattached).toBe(true);
    await second.run.tell({ type: 'answer', id: requestId, answers: [['red'], ['S']] });
    await second.ended;
    expect(requestsOf(second.events)).toEqual([]);
    expect(closedIn(second.events)).toEqual([requestId]);
    expect(second.run.outcome()).toMatchObject({ status: 'succeeded', finalText: 'I go on.' });
  });

  test.each(['question.asked', 'question.replied'])('events that are lost with %s leave no gap', async (lost) => {
    const { task, workspace } = await bench();
    const path = join(workspace.paths.tmp, 'losing-opencode');
    await writeFile(path, `#!/bin/sh\nexec "${process.execPath}" "${LOSING}" "${program}" ${lost} "$@"\n`);
    await chmod(path, 0o700);
    const { run, events, lines, ended } = await follow(
      openCode(path),
      task({ prompt: '[[script:asking]]', asks: QUESTIONS }),
    );
    const { requestId } = await nthRequest(events, 1);
    await run.tell({ type: 'answer', id: requestId, answers: [['red'], ['S']] });
    await ended;
    expect(run.outcome()).toMatchObject({ status: 'succeeded', finalText: 'I go on.' });
    expect(requestsOf(events)).toHaveLength(1);
    expect(closedIn(events)).toEqual([requestId]);
    expect(lines.filter(({ text }) => text.includes(`"type":"${lost}"`)).length).toBeLessThanOrEqual(1);
  });

  test.skipIf(bubblewrap === null)('in the sandbox it is heard, and its tools do not see the inbox', async () => {
    const { run, events, ended, workspace } = await begin('[[script:env]]', PERMISSIONS, { sandboxed: true });
    const { requestId } = await nthRequest(events, 1);
    await run.tell({ type: 'message', id: 'm-1', text: 'Hello in there.' });
    await run.tell(allow(requestId));
    await ended;
    expect(takenIn(events)).toEqual(['m-1']);
    expect(await readFile(join(workspace.paths.work, 'env.txt'), 'utf8')).not.toContain('SLIPWAY_INBOX');
  });
});
