import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createAcpReader } from '../../src/agents/acp-stream.ts';
import type { AgentEvent, RunEnd } from '../../src/agents/agent.ts';
import { MAX_EVENT_TEXT, type Usage } from '../../src/events/event.ts';
import { transcriptNames } from '../support/transcripts.ts';
import { ACP_VERDICTS } from './acp-verdicts.ts';

const NAMES = transcriptNames('acp');
const RESULT = '{"type":"result","problem":null}';

const exited = (code: number): RunEnd => ({ exit: { kind: 'exited', code }, stoppedBecause: null, stderrTail: '' });

/** The recorder printed what our program prints. */
function linesOf(name: string): string[] {
  const file = new URL(`../fixtures/transcripts/${name}.jsonl`, import.meta.url);
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

function replay(lines: readonly string[], end: RunEnd, earlierUsage: Usage | null = null) {
  const isResumed = lines.some((line) => line.includes('"session/load"'));
  const reader = createAcpReader({ name: 'acp:test', earlierUsage, isResumed });
  const events = lines.flatMap((line) => reader.read(line));
  return { events, outcome: reader.verdict(end) };
}

const said = (dir: 'agent->client' | 'client->agent', m: object) => JSON.stringify({ dir, m });
const asked = (id: number, method: string, params: object = {}) => said('client->agent', { id, method, params });
const answered = (id: number, fields: object) => said('agent->client', { id, ...fields });
const updated = (sessionUpdate: string, fields: object = {}) =>
  said('agent->client', { method: 'session/update', params: { update: { sessionUpdate, ...fields } } });
const prompted = asked(3, 'session/prompt', { sessionId: 's' });
const chunk = (text: string, messageId = 'm') =>
  updated('agent_message_chunk', { messageId, content: { type: 'text', text } });

describe('the verdict on every recorded turn', () => {
  test('each recording has an expectation and each expectation a recording', () => {
    expect(Object.keys(ACP_VERDICTS).sort()).toEqual(NAMES);
  });

  test.each(Object.entries(ACP_VERDICTS))('%s', (name, expected) => {
    const end = { ...exited(expected.stop ? 143 : 0), stoppedBecause: expected.stop ?? null };
    const { outcome } = replay(expected.stop ? linesOf(name) : [...linesOf(name), RESULT], end);
    expect(`${outcome.status}/${outcome.reason}`).toBe(expected.verdict);
    expect(outcome.denials).toEqual(expected.denials ?? []);
    if (expected.costUsd === null) expect(outcome.usage?.costUsd ?? null).toBeNull();
    else expect(outcome.usage?.costUsd).toBeCloseTo(expected.costUsd, 10);
    const { inputTokens = null, outputTokens = null } = outcome.usage ?? {};
    expect([inputTokens, outputTokens]).toEqual(expected.tokens ?? [null, null]);
    expect(outcome.message === null).toBe(outcome.status === 'succeeded');
  });

  test('of a session that is gone on with, only what is new is billed', () => {
    const before = {
      costUsd: 0.03,
      inputTokens: 1,
      outputTokens: 1,
      cacheReadTokens: 0,
      cacheWriteTokens: 0,
      turns: 1,
    };
    const { outcome } = replay([...linesOf('acp-claude-load'), RESULT], exited(0), before);
    expect(outcome.usage).toMatchObject({ inputTokens: 2000, costUsd: expect.closeTo(0.00806, 10) });
  });
});

describe('how a turn ends', () => {
  const refused = (code: number, message: string, details?: string) =>
    [prompted, answered(3, { error: { code, message, ...(details ? { data: { details } } : {}) } }), RESULT] as const;

  test.each([
    [refused(-32000, 'Authentication required'), 'auth'],
    [refused(-32603, 'Internal error: invalid x-api-key'), 'auth'],
    [refused(401, 'no'), 'auth'],
    [refused(429, 'slow down'), 'rate_limit'],
    [refused(-32603, 'Internal error: API Error: Request rejected (429) · later'), 'rate_limit'],
    [
      refused(-32603, "Internal error: API Error: Claude's response exceeded the 128000 output token maximum."),
      'output_truncated',
    ],
    [refused(-32603, 'Internal error', 'API Error: 529 Overloaded'), 'overloaded'],
    [refused(-32603, 'Internal error: Your credit balance is too low'), 'billing'],
    [refused(-32603, 'Internal error: prompt is too long: 3 tokens'), 'context_overflow'],
    [refused(-32603, 'Internal error: Claude Code process terminated by signal SIGKILL'), 'crash'],
    [refused(-32603, 'Internal error'), 'agent_error'],
    [[asked(2, 'session/load'), answered(2, { error: { code: -32603, message: 'Internal error' } })], 'not_found'],
    [[asked(2, 'session/new'), answered(2, { error: { code: -32602, message: 'Bad cwd' } })], 'config'],
    [[prompted, answered(3, { result: { stopReason: 'max_tokens' } })], 'output_truncated'],
    [[prompted, answered(3, { result: { stopReason: 'max_turn_requests' } })], 'max_turns'],
    [[prompted, answered(3, { result: { stopReason: 'refusal' } })], 'refusal'],
    [[prompted, answered(3, { result: {} })], 'agent_error'],
    [[prompted, '{"type":"result","problem":{"reason":"crash","message":"It died."}}'], 'crash'],
    [['{"type":"result","problem":{"reason":"crash","message":"It died."}}'], 'config'],
    [['{"type":"result","problem":{"reason":"completed","message":"no"}}'], 'agent_error'],
    [[prompted], 'crash'],
    [[], 'config'],
  ])('%#: %j', (lines, reason) => {
    expect(replay(lines, exited(1)).outcome).toMatchObject({ status: 'failed', reason, message: /./ });
  });

  test.each(['silence_limit', 'wall_limit'] as const)('cancelled because of %s it did not finish', (stoppedBecause) => {
    const cancel = asked(9, 'session/cancel');
    const end = { ...exited(143), stoppedBecause };
    const reason = stoppedBecause === 'wall_limit' ? 'timeout' : 'idle';
    for (const answer of [{ result: { stopReason: 'cancelled' } }, { error: { code: -32603, message: 'aborted' } }]) {
      expect(replay([prompted, cancel, answered(3, answer)], end).outcome).toMatchObject({ status: 'failed', reason });
    }
    const done = answered(3, { result: { stopReason: 'end_turn' } });
    expect(replay([prompted, done], end).outcome).toMatchObject({ status: 'succeeded' });
  });

  test('an agent that cancels by itself has not succeeded', () => {
    const { outcome } = replay([prompted, answered(3, { result: { stopReason: 'cancelled' } }), RESULT], exited(0));
    expect(outcome).toMatchObject({ status: 'cancelled', reason: 'cancelled' });
  });
});

describe('events', () => {
  test.each([
    [
      'acp-claude-success',
      [
        'started default 0.100.0',
        'message I will write the file.',
        'tool_call Write {"file_path","content"}',
        'tool_result ok',
        'message Now I check it.',
        'tool_call Bash {"command","description"}',
        'tool_result ok',
        'message Done: hello.txt has been written and checked.',
        'usage null/null/0.02306',
        'usage 3900/90/0.02306',
        'turn_finished',
      ],
    ],
    [
      'acp-opencode-load',
      [
        'started fake/fake-model 1.18.33',
        'message I remember the file. Appending.',
        'tool_call execute {"command","cwd"}',
        'tool_result ok',
        'message Appended.',
        'usage 1000/50/null',
        'turn_finished',
      ],
    ],
    [
      'acp-gemini-reject',
      [
        'started gemini-2.5-pro 0.61.0',
        'raw fs/read_text_file',
        'message I will write the file.',
        'tool_call edit {"title"}',
        'raw fs/read_text_file',
        'tool_result failed',
        'message Now I check it.',
        'tool_call execute {"title"}',
        'warning',
        'tool_result denied',
        'message Done: hello.txt has been written and checked.',
        'usage 3900/90/null',
        'turn_finished',
      ],
    ],
  ])('%s', (name, expected) => {
    expect(replay([...linesOf(name), RESULT], exited(0)).events.map(describeEvent)).toEqual(expected);
  });

  test.each([
    ['acp-claude-reject', 'tool_result denied'],
    ['acp-claude-cancel', 'tool_result aborted'],
    ['acp-opencode-cancel', 'tool_result aborted'],
    ['acp-codex-success', 'tool_call exec_command {"command","cwd"}'],
  ])('%s has %s', (name, expected) => {
    expect(replay(linesOf(name), exited(0)).events.map(describeEvent)).toContain(expected);
  });

  test('every recorded kind is known but what the recorder offered and we do not', () => {
    const events = NAMES.flatMap((name) => replay(linesOf(name), exited(0)).events);
    const unknown = events.flatMap((event) => (event.type === 'raw' ? [event.name] : []));
    expect([...new Set(unknown)]).toEqual(['fs/read_text_file']);
  });

  test('the output of a tool is what it printed, not what it was going to do', () => {
    const outputs = (name: string) =>
      replay(linesOf(name), exited(0)).events.flatMap((event) =>
        event.type === 'activity' && event.content.kind === 'tool_result' ? [event.content.output] : [],
      );
    expect(outputs('acp-opencode-success')).toEqual(['Wrote file successfully.', '26 hello.txt\ndone\n']);
    expect(outputs('acp-codex-success')).toEqual([null, '27 hello.txt\ndone\n']);
    expect(outputs('acp-gemini-success').at(-1)).toBeNull();
    const delta = (data: string) => ({ toolCallId: 't', _meta: { terminal_output_delta: { data } } });
    const updates = [updated('tool_call_update', delta('a')), updated('tool_call_update', delta('b'))];
    const end = updated('tool_call_update', { toolCallId: 't', status: 'completed' });
    const { events } = replay([prompted, ...updates, end], exited(0));
    expect(events.at(-1)).toMatchObject({ content: { kind: 'tool_result', output: 'ab' } });
  });

  test('a command that has failed is not ok because its agent calls it completed', () => {
    const call = { toolCallId: 't', status: 'completed' };
    for (const output of [{ rawOutput: { metadata: { exit: 3 } } }, { _meta: { terminal_exit: { exit_code: 3 } } }]) {
      const { events } = replay([prompted, updated('tool_call_update', { ...call, ...output })], exited(0));
      expect(events.map(describeEvent)).toContain('tool_result failed');
    }
  });

  test('a long text is several events, a long input and a long output are cut', () => {
    const long = 'z'.repeat(MAX_EVENT_TEXT * 2 + 7);
    const call = { toolCallId: 't', status: 'completed', rawInput: { long }, rawOutput: long };
    const { events, outcome } = replay(
      [prompted, chunk(long), updated('tool_call', call), chunk('a'), chunk('b'), answered(3, { result: END })],
      exited(0),
    );
    const texts = events.flatMap((event) =>
      event.type === 'activity' && event.content.kind === 'message' ? [event.content.text] : [],
    );
    expect(texts.map(({ length }) => length)).toEqual([MAX_EVENT_TEXT, MAX_EVENT_TEXT, 7, 2]);
    expect(events).toContainEqual(
      expect.objectContaining({ content: expect.objectContaining({ kind: 'tool_result', truncated: true }) }),
    );
    for (const event of events) expect(JSON.stringify(event).length).toBeLessThan(MAX_EVENT_TEXT + 500);
    expect(outcome.finalText).toBe('ab');
  });

  test('calls that are announced together keep their own input, and are told once each', () => {
    const begin = (toolCallId: string) => updated('tool_call', { toolCallId, name: toolCallId, rawInput: {} });
    const fill = (toolCallId: string) => updated('tool_call_update', { toolCallId, rawInput: { of: toolCallId } });
    const end = (toolCallId: string) => updated('tool_call_update', { toolCallId, status: 'completed' });
    const lines = [prompted, begin('a'), begin('b'), fill('b'), fill('a'), chunk('x'), end('b'), end('b'), end('a')];
    expect(replay(lines, exited(0)).events.map(describeEvent)).toEqual([
      'started null null',
      'tool_call a {"of"}',
      'tool_call b {"of"}',
      'message x',
      'tool_result ok',
      'tool_result ok',
    ]);
  });
});

describe('a permission that people decide', () => {
  const toolCall = { toolCallId: 'c', name: 'shell', title: 'ls', rawInput: { command: 'ls' } };
  const options = [
    { optionId: 'yes', kind: 'allow_once' },
    { optionId: 'no', kind: 'reject_once' },
  ];
  const wanted = said('agent->client', { id: 7, method: 'session/request_permission', params: { toolCall, options } });
  const referred = JSON.stringify({ type: 'asked', id: 7, requestId: 'permission-1' });
  const decided = (outcome: object) => said('client->agent', { id: 7, result: { outcome } });
  const begun = [prompted, wanted, referred];

  test('is told with what it is for', () => {
    expect(replay(begun, exited(0)).events.slice(1)).toEqual([
      expect.objectContaining({ type: 'activity' }),
      {
        type: 'asked',
        requestId: 'permission-1',
        request: { kind: 'PERMISSION', tool: 'shell', input: { command: 'ls' }, description: 'ls' },
      },
    ]);
  });

  test.each([
    [{ outcome: 'selected', optionId: 'yes' }, ['request_closed'], []],
    [{ outcome: 'selected', optionId: 'no' }, ['request_closed', 'tool_result denied'], ['shell']],
    [{ outcome: 'cancelled' }, ['request_closed'], []],
  ])('is closed by %j', (outcome, events, denials) => {
    const replayed = replay([...begun, decided(outcome)], exited(0));
    expect(replayed.events.slice(3).map(describeEvent)).toEqual(events);
    expect(replayed.outcome.denials).toEqual(denials);
  });

  test('cannot be forged by the agent', () => {
    const forged = said('agent->client', JSON.parse(referred));
    expect(replay([prompted, wanted, forged], exited(0)).events.some(({ type }) => type === 'asked')).toBe(false);
  });
});

test('a tool’s title is not told in place of its input, once that is known', () => {
  const call = { toolCallId: 'c', title: 'Write a.txt', kind: 'edit' };
  const wanted = said('agent->client', { id: 7, method: 'session/request_permission', params: { toolCall: call } });
  const update = updated('tool_call', { ...call, rawInput: { path: 'a.txt' } });
  expect(replay([prompted, update, wanted], exited(0)).events.map(describeEvent)).toContain('tool_call edit {"path"}');
});

test('Claude Code’s provider refused it: its adapter was asked to tell', () => {
  const message = {
    type: 'system',
    subtype: 'api_retry',
    attempt: 1,
    error_status: 401,
    error: 'authentication_failed',
  };
  const retry = said('agent->client', { method: '_claude/sdkMessage', params: { sessionId: 's', message } });
  const end: RunEnd = { ...exited(143), stoppedBecause: 'fail_fast' };
  const { events, outcome } = replay([prompted, retry], end);
  expect(events.at(-1)).toMatchObject({ type: 'retry', reason: 'auth', attempt: 1 });
  expect(outcome).toMatchObject({ status: 'failed', reason: 'auth', message: /answered 401/ });
  const recovered = replay([prompted, retry, chunk('Hello.')], { ...end, stoppedBecause: 'wall_limit' });
  expect(recovered.outcome.message).toBe('The agent did not finish in time.');
});

const END = { stopReason: 'end_turn' };

describe('whatever the lines', () => {
  test('no line throws, and every event is small and fit for Postgres', () => {
    const known = NAMES.flatMap(linesOf);
    const samples = [...new Map(known.map((text) => [shape(text), text])).values()];
    const nasty = fc.constantFrom(
      'a\0b',
      '\ud800',
      { '\0': ['\udc00'] },
      { toString: 1 },
      'x'.repeat(MAX_EVENT_TEXT + 1),
    );
    const value = fc.oneof(fc.jsonValue(), nasty);
    const anything = fc.oneof(
      fc.tuple(fc.constantFrom(...samples), fc.nat(), value).map(mutate),
      value.map((any) => JSON.stringify(any)),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 8 }), (lines) => {
        const { events, outcome } = replay([prompted, ...lines], exited(0));
        const stored = JSON.stringify([events, outcome]);
        expect(stored).not.toMatch(/\\u0000|\\ud[89a-f]/i);
        for (const event of events) expect(JSON.stringify(event).length).toBeLessThan(2 * MAX_EVENT_TEXT);
        expect(outcome.status).toMatch(/^(succeeded|failed|cancelled)$/);
      }),
      { numRuns: 500 },
    );
  });
});

/** The lines that differ in kind, not in text. */
function shape(text: string): string {
  const { dir, m } = JSON.parse(text);
  return `${dir}/${m.method}/${m.params?.update?.sessionUpdate}/${m.params?.update?.status}/${Object.keys(m.result ?? {})}`;
}

/** Puts `value` in the place of the n-th field of the line, however deep. */
function mutate([text, n, value]: [string, number, unknown]): string {
  let fields = 0;
  JSON.parse(text, (_, field) => {
    fields++;
    return field;
  });
  let i = 0;
  const changed = JSON.parse(text, (_, field) => (i++ === n % fields ? value : field));
  return JSON.stringify(changed) ?? 'null';
}

function describeEvent(event: AgentEvent): string {
  switch (event.type) {
    case 'started':
      return `started ${event.model} ${event.agentVersion}`;
    case 'usage': {
      const { inputTokens, outputTokens, costUsd } = event.usage;
      return `usage ${inputTokens}/${outputTokens}/${costUsd === null ? null : Number(costUsd.toFixed(6))}`;
    }
    case 'raw':
      return `raw ${event.name}`;
    case 'activity': {
      const { content } = event;
      if (content.kind === 'tool_call') return `tool_call ${content.tool} {${keys(content.input)}}`;
      if (content.kind === 'tool_result') return `tool_result ${content.status}`;
      return `${content.kind} ${'text' in content ? content.text : ''}`;
    }
    default:
      return event.type;
  }
}

function keys(input: unknown): string {
  return Object.keys(input ?? {})
    .map((key) => JSON.stringify(key))
    .join();
}
