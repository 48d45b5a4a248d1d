import { describe, expect, test } from 'vitest';
import type { RunEnd } from '../../src/agents/agent.ts';
import { createGeminiReader } from '../../src/agents/gemini-stream.ts';
import { describeEvent, expectFitForEvents } from '../support/reader-checks.ts';
import { readTranscript, transcriptNames } from '../support/transcripts.ts';
import { GEMINI_VERDICTS } from './gemini-verdicts.ts';

const NAMES = transcriptNames('gemini');

/** What the recorder calls stderr is read as lines, too. */
function replay(lines: readonly string[], end: RunEnd) {
  const reader = createGeminiReader();
  const events = [
    ...lines.flatMap((line) => reader.read(line)),
    ...end.stderrTail.split('\n').flatMap((line) => reader.readStderr?.(line) ?? []),
  ];
  return { events, outcome: reader.verdict(end) };
}

function replayTranscript(name: string, end: Partial<RunEnd> = {}) {
  const transcript = readTranscript(name);
  return replay(transcript.lines, { ...transcript.end, ...end });
}

const line = (fields: object) => JSON.stringify(fields);
const exited = (code: number, stderrTail = ''): RunEnd => ({
  exit: { kind: 'exited', code },
  stoppedBecause: null,
  stderrTail,
});
const init = line({ type: 'init', session_id: 's', model: 'm' });
const answer = (content: string) => line({ type: 'message', role: 'assistant', content, delta: true });
const failedWith = (message: string, type = 'unknown') => [
  init,
  line({ type: 'result', status: 'error', error: { type, message } }),
];

describe('the verdict on every recorded run', () => {
  test('each recording has an expectation and each expectation a recording', () => {
    expect(Object.keys(GEMINI_VERDICTS).sort()).toEqual(NAMES);
  });

  test.each(Object.entries(GEMINI_VERDICTS))('%s', (name, expected) => {
    const { outcome } = replayTranscript(name, { stoppedBecause: expected.stop ?? null });
    const { usage } = outcome;
    expect(`${outcome.status}/${outcome.reason}`).toBe(expected.verdict);
    expect(usage && [usage.inputTokens, usage.outputTokens, usage.cacheReadTokens]).toEqual(expected.tokens);
    expect(usage?.costUsd ?? null).toBeNull();
    expect(outcome.message === null).toBe(outcome.status === 'succeeded');
    expect(outcome.retryable).toBe(false);
  });

  test('a model that repeats itself is stopped by Gemini CLI, which calls it a success', () => {
    const stopped = line({ type: 'error', severity: 'warning', message: 'Loop detected, stopping execution' });
    const { outcome } = replay([init, answer('z'), stopped, line({ type: 'result', status: 'success' })], exited(0));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'agent_error', retryable: false });
  });

  test('an end that nobody of us caused is a crash, whatever the exit code', () => {
    const { outcome } = replayTranscript('gemini-sigterm-group');
    expect(outcome).toMatchObject({ status: 'failed', reason: 'crash', retryable: true });
  });

  test('a run that ended in the middle of its tries has the reason of the last', () => {
    const { events, outcome } = replayTranscript('gemini-500');
    expect(events.map(describeEvent)).toContain('retry server_error 3');
    expect(outcome).toMatchObject({ status: 'failed', reason: 'server_error', retryable: true });
  });

  test.each([
    ['[API Error: {"error":{"code":429,"message":"Resource exhausted","status":"RESOURCE_EXHAUSTED"}}]', 'rate_limit'],
    ['[API Error: {"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]', 'auth'],
    ['[API Error: {"error":{"code":403,"message":"no access","status":"PERMISSION_DENIED"}}]', 'auth'],
    ['[API Error: {"error":{"code":503,"message":"The model is overloaded."}}]', 'overloaded'],
    [
      '[API Error: {"error":{"code":400,"message":"The input token count (2) exceeds the maximum number of tokens"}}]',
      'context_overflow',
    ],
    ['fetch failed sending request', 'network'],
    ['The model response was blocked due to safety settings.', 'refusal'],
    ['[API Error: models/none is not found for API version v1beta.]', 'config'],
    ['[API Error: {"error":{"code":429,"message":"Your prepayment credits are depleted."}}]', 'billing'],
    [
      '[API Error: {"error":{"code":429,"message":"You exceeded your current quota, check your billing"}}]',
      'rate_limit',
    ],
    ['The model returned an empty text response.', 'agent_error'],
  ])('%s is %s', (message, reason) => {
    expect(replay(failedWith(message), exited(1)).outcome).toMatchObject({ status: 'failed', reason });
  });

  test('the limit of turns has a type of its own', () => {
    const { outcome } = replay(failedWith('Reached max session turns', 'FatalTurnLimitedError'), exited(53));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'max_turns' });
  });

  test.each([
    ['Error resuming session: Invalid session identifier "x".', 'not_found'],
    ['Please set an Auth method in your settings.json or specify GEMINI_API_KEY', 'auth'],
    ['Unknown arguments: nonsense', 'config'],
  ])('%s', (stderr, reason) => {
    expect(replay([], exited(42, `[STARTUP] chatter\n${stderr}\n`)).outcome).toMatchObject({
      reason,
      message: expect.stringContaining(stderr),
    });
  });

  test('a program that is not there is said to be unavailable', () => {
    const { outcome } = replay([], exited(127, 'sh: 1: exec: gemini: not found\n'));
    expect(outcome).toMatchObject({ status: 'failed', reason: 'unavailable', retryable: false });
  });
});

describe('events', () => {
  test('a whole run: the pieces of an answer are one message', () => {
    expect(replayTranscript('gemini-success').events.map(describeEvent)).toEqual([
      'started gemini-2.5-pro null',
      'message I will write the file.',
      'tool_call write_file',
      'tool_result ok',
      'message Now I check it.',
      'tool_call run_shell_command',
      'tool_result ok',
      'message Done: hello.txt has been written and checked.',
      'usage 600/90/null',
      'turn_finished',
    ]);
  });

  test('the last answer is the final text, also of a run that was ended in the middle of it', () => {
    const { outcome } = replay([init, answer('Half '), answer('an answer')], exited(0));
    expect(outcome.finalText).toBe('Half an answer');
  });

  test('a tool that the policy refused is denied, and told in the outcome', () => {
    const lines = [
      init,
      line({ type: 'tool_use', tool_id: 'c', tool_name: 'web_fetch', parameters: {} }),
      line({ type: 'tool_result', tool_id: 'c', status: 'error', error: { type: 'policy_violation', message: 'no' } }),
      line({ type: 'result', status: 'success', stats: {} }),
    ];
    const { events, outcome } = replay(lines, exited(0));
    expect(events.map(describeEvent)).toContain('tool_result denied');
    expect(outcome).toMatchObject({ status: 'succeeded', reason: 'permission', denials: ['web_fetch'] });
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
