import { describe, expect, test } from 'vitest';
import type { RunEnd } from '../../src/agents/agent.ts';
import { createCodexReader } from '../../src/agents/codex-stream.ts';
import type { Usage } from '../../src/events/event.ts';
import { describeEvent, expectFitForEvents } from '../support/reader-checks.ts';
import { readTranscript, transcriptNames } from '../support/transcripts.ts';
import { CODEX_VERDICTS } from './codex-verdicts.ts';

const NAMES = transcriptNames('codex');
const UNKNOWN_USAGE: Usage = {
  inputTokens: null,
  outputTokens: null,
  cacheReadTokens: null,
  cacheWriteTokens: null,
  costUsd: null,
  turns: null,
};

function replay(lines: readonly string[], end: RunEnd, sessionUsage: Usage | null = null) {
  const reader = createCodexReader({ model: 'm', sessionUsage });
  const events = lines.flatMap((line) => reader.read(line));
  return { events, outcome: reader.verdict(end) };
}

function replayTranscript(name: string, end: Partial<RunEnd> = {}) {
  const transcript = readTranscript(name);
  return replay(transcript.lines, { ...transcript.end, ...end });
}

const line = (fields: object) => JSON.stringify(fields);
const exited = (code: number): RunEnd => ({ exit: { kind: 'exited', code }, stoppedBecause: null, stderrTail: '' });
const started = line({ type: 'thread.started', thread_id: 't' });
const failedWith = (message: string) => [started, line({ type: 'turn.failed', error: { message } })];

describe('the verdict on every recorded run', () => {
  test('each recording has an expectation and each expectation a recording', () => {
    expect(Object.keys(CODEX_VERDICTS).sort()).toEqual(NAMES);
  });

  test.each(Object.entries(CODEX_VERDICTS))('%s', (name, expected) => {
    const { lines, end } = readTranscript(name);
    const earlier = expected.resumed ? { ...UNKNOWN_USAGE, ...expected.resumed } : null;
    const { outcome } = replay(lines, { ...end, stoppedBecause: expected.stop ?? null }, earlier);
    const { usage } = outcome;
    expect(`${outcome.status}/${outcome.reason}`).toBe(expected.verdict);
    expect(usage && [usage.inputTokens, usage.outputTokens, usage.cacheReadTokens]).toEqual(expected.tokens);
    expect(usage?.costUsd ?? null).toBeNull();
    expect(outcome.message === null).toBe(outcome.status === 'succeeded');
    expect(outcome.retryable).toBe(outcome.reason === 'crash');
  });

  test('a run that we failed fast has the reason of its first retry', () => {
    const { events, outcome } = replayTranscript('codex-401', { stoppedBecause: 'fail_fast' });
    expect(events.find((event) => event.type === 'retry')).toMatchObject({ reason: 'auth', attempt: 1 });
    expect(outcome).toMatchObject({ status: 'failed', reason: 'auth', retryable: false });
  });

  test('a signal that nobody of us sent is a crash, not a cancellation', () => {
    for (const name of ['codex-sigterm-tool', 'codex-sigint-tool']) {
      expect(replayTranscript(name).outcome).toMatchObject({ status: 'failed', reason: 'crash', retryable: true });
    }
  });

  test('a turn that is complete is none when Codex fails after it', () => {
    const { lines } = readTranscript('codex-success');
    expect(replay(lines, exited(1)).outcome).toMatchObject({ status: 'failed', reason: 'crash' });
    expect(replay(lines, { ...exited(143), stoppedBecause: 'linger' }).outcome.status).toBe('succeeded');
  });

  test.each([
    ['unexpected status 429 Too Many Requests: slow down, url: http://x', 'rate_limit'],
    ['exceeded retry limit, last status: 429 Too Many Requests', 'rate_limit'],
    ['unexpected status 429 Too Many Requests: You exceeded your current quota, please check …', 'billing'],
    ['Quota exceeded. Check your plan and billing details.', 'billing'],
    ['unexpected status 403 Forbidden: no access to this model, url: http://x', 'auth'],
    ['unexpected status 500 Internal Server Error: internal, url: http://x', 'server_error'],
    ['unexpected status 529 <unknown status code>: Overloaded, url: http://x', 'overloaded'],
    ['Selected model is at capacity. Please try a different model.', 'overloaded'],
    ['stream disconnected before completion: error sending request for url (http://x)', 'network'],
    ['stream disconnected before completion: Incomplete response returned, reason: content_filter', 'refusal'],
    [
      'stream disconnected before completion: Incomplete response returned, reason: max_output_tokens',
      'output_truncated',
    ],
    ["Codex ran out of room in the model's context window. Start a new thread.", 'context_overflow'],
    ['{"error":{"message":"no such tool","type":"invalid_request_error"}}', 'agent_error'],
  ])('%s is %s', (message, reason) => {
    expect(replay(failedWith(message), exited(1)).outcome).toMatchObject({ status: 'failed', reason });
  });

  test('a program that is not there is said to be unavailable', () => {
    const { outcome } = replay([], { ...exited(127), stderrTail: 'sh: 1: codex: not found\n' });
    expect(outcome).toMatchObject({ status: 'failed', reason: 'unavailable', retryable: false });
  });

  test('a flag that it does not know is a mistake in how it was started', () => {
    const stderrTail = "Reading prompt from stdin...\nerror: unexpected argument '--nonsense' found\n";
    const { outcome } = replay([], { ...exited(2), stderrTail });
    expect(outcome).toMatchObject({ status: 'failed', reason: 'config' });
    expect(outcome.message).toContain('--nonsense');
  });
});

describe('usage of a session', () => {
  const turn = (total: number) => [started, line({ type: 'turn.completed', usage: { input_tokens: total } })];

  test('what earlier builds were billed for is not billed again', () => {
    const earlier = { ...UNKNOWN_USAGE, inputTokens: 70 };
    expect(replay(turn(100), exited(0), earlier).outcome.usage?.inputTokens).toBe(30);
  });

  test('what nobody was billed for is, and less than nothing is nothing', () => {
    expect(replay(turn(100), exited(0), UNKNOWN_USAGE).outcome.usage?.inputTokens).toBe(100);
    expect(replay(turn(50), exited(0), { ...UNKNOWN_USAGE, inputTokens: 70 }).outcome.usage?.inputTokens).toBe(0);
  });
});

describe('events', () => {
  test('a whole run', () => {
    expect(replayTranscript('codex-success').events.map(describeEvent)).toEqual([
      'started m null',
      'warning',
      'message I will write the file.',
      'tool_call shell',
      'tool_result ok',
      'message Now I check it.',
      'tool_call shell',
      'tool_result ok',
      'message Done: hello.txt has been written and checked.',
      'usage 600/90/null',
      'turn_finished',
    ]);
  });

  test.each([
    ['codex-badcmd', 'tool_result failed'],
    ['codex-patch', 'tool_call apply_patch'],
    ['codex-401', 'retry auth 1'],
  ])('%s has %s', (name, expected) => {
    expect(replayTranscript(name).events.map(describeEvent)).toContain(expected);
  });

  test('every result has its call before it, also where Codex tells the end only', () => {
    const item = { id: 'i', type: 'web_search', query: 'x' };
    const { events } = replay([line({ type: 'item.completed', item })], exited(0));
    expect(events.map(describeEvent)).toEqual(['tool_call web_search', 'tool_result ok']);
  });

  test('a tool that was declined is denied, and told in the outcome', () => {
    const item = { id: 'i', type: 'command_execution', command: 'rm', status: 'declined' };
    const lines = [started, line({ type: 'item.completed', item }), line({ type: 'turn.completed', usage: {} })];
    const { events, outcome } = replay(lines, exited(0));
    expect(events.map(describeEvent)).toContain('tool_result denied');
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'permission', denials: ['shell'] });
  });

  test('every recorded line is known', () => {
    const events = NAMES.flatMap((name) => replayTranscript(name).events);
    expect(events.filter((event) => event.type === 'raw')).toEqual([]);
  });

  test('no line throws, and every event is small and fit for Postgres', () => {
    expectFitForEvents(
      NAMES.flatMap((name) => readTranscript(name).lines),
      (lines) => replay(lines, exited(0)),
    );
  });
});
