import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RunEnd } from '../../src/agents/agent.ts';
import { createClaudeReader } from '../../src/agents/claude-code-stream.ts';
import { MAX_EVENT_TEXT } from '../../src/events/event.ts';
import { createLineSplitter } from '../../src/std/line-splitter.ts';
import { describeEvent, expectFitForEvents } from '../support/reader-checks.ts';
import { readTranscript, transcriptNames } from '../support/transcripts.ts';
import { CLAUDE_CODE_VERDICTS } from './claude-code-verdicts.ts';

const NAMES = transcriptNames('claude');
const NOBODY = { questions: false, permissions: false };
const EVERYTHING = { questions: true, permissions: true };

function replay(lines: readonly string[], end: RunEnd, asks = NOBODY) {
  const reader = createClaudeReader(asks);
  const events = lines.flatMap((line) => reader.read(line));
  return { events, outcome: reader.verdict(end) };
}

function replayTranscript(name: string, end: Partial<RunEnd> = {}) {
  const transcript = readTranscript(name);
  return replay(transcript.lines, { ...transcript.end, ...end });
}

function line(fields: object): string {
  return JSON.stringify(fields);
}

const init = line({ type: 'system', subtype: 'init', session_id: 's', model: 'm' });
const success = line({ type: 'result', subtype: 'success', is_error: false, result: 'Done.' });
const exited = (code: number): RunEnd => ({ exit: { kind: 'exited', code }, stoppedBecause: null, stderrTail: '' });

describe('the verdict on every recorded run', () => {
  test('each recording has an expectation and each expectation a recording', () => {
    expect(Object.keys(CLAUDE_CODE_VERDICTS).sort()).toEqual(NAMES);
  });

  test.each(Object.entries(CLAUDE_CODE_VERDICTS))('%s', (name, expected) => {
    const { outcome } = replayTranscript(name, { stoppedBecause: expected.stop ?? null });
    expect(`${outcome.status}/${outcome.reason}`).toBe(expected.verdict);
    expect(outcome.denials).toEqual(expected.denials ?? []);
    if (expected.costUsd === null) expect(outcome.usage?.costUsd ?? null).toBeNull();
    else expect(outcome.usage?.costUsd).toBeCloseTo(expected.costUsd, 10);
    expect(outcome.message === null).toBe(outcome.status === 'succeeded');
    const worthAnotherTry = ['rate_limit', 'overloaded', 'server_error', 'network', 'crash'].includes(outcome.reason);
    expect(outcome.retryable).toBe(worthAnotherTry);
  });

  test('a run that we failed fast has the reason of its retries', () => {
    const { events, outcome } = replayTranscript('claude-error-401-wrongkey', { stoppedBecause: 'fail_fast' });
    expect(events.find((event) => event.type === 'retry')).toMatchObject({ reason: 'auth', attempt: 1 });
    expect(outcome).toMatchObject({ status: 'failed', reason: 'auth', retryable: false });
  });

  test('a SIGTERM that nobody of us sent is a crash, not a cancellation', () => {
    const { outcome } = replayTranscript('claude-sigterm-tool');
    expect(outcome).toMatchObject({ status: 'failed', reason: 'crash', retryable: true });
    expect(outcome.message).toContain('143');
  });

  test('a refusal that was overcome does not explain a later crash', () => {
    const { lines, end } = readTranscript('claude-error-500-recover');
    const untilAnswer = lines.slice(0, lines.findIndex((text) => text.includes('"type":"assistant"')) + 1);
    const killed: RunEnd = { ...end, exit: { kind: 'signalled', signal: 'SIGKILL' } };
    expect(replay(untilAnswer, killed).outcome.reason).toBe('crash');
    expect(replay(untilAnswer.slice(0, -1), killed).outcome.reason).toBe('server_error');
  });

  test('messages name what was wrong', () => {
    const message = (name: string) => replayTranscript(name).outcome.message;
    expect(message('claude-max-turns')).toBe('Reached maximum number of turns (3)');
    expect(message('claude-bad-flag')).toContain("unknown option '--nonsense'");
    expect(message('claude-error-429-retries2')).toContain('slow down');
    expect(message('claude-prompt-slash')).toContain('/cost');
  });

  test('the last answer of the model is the final text, also when the run failed after it', () => {
    expect(replayTranscript('claude-success').outcome.finalText).toBe('Done: hello.txt has been written and checked.');
    expect(replayTranscript('claude-midfail').outcome.finalText).toBe('Working.');
    expect(replayTranscript('claude-subagent').outcome.finalText).toBe('The subagent has finished.');
  });
});

describe('a run that was stopped', () => {
  test.each(['linger', 'wall_limit', 'silence_limit', 'released'] as const)(
    '%s after its result takes nothing',
    (why) => {
      const { outcome } = replay([init, success], { ...exited(143), stoppedBecause: why });
      expect(outcome).toMatchObject({ status: 'succeeded', reason: 'completed' });
    },
  );

  test.each([
    ['wall_limit', 'failed', 'timeout'],
    ['silence_limit', 'failed', 'idle'],
    ['budget', 'failed', 'budget'],
    ['output_limit', 'failed', 'output_limit'],
    ['released', 'failed', 'crash'],
    ['cancelled', 'cancelled', 'cancelled'],
  ] as const)('%s in a second turn is %s/%s', (why, status, reason) => {
    const { outcome } = replay([init, success, init], { ...exited(143), stoppedBecause: why });
    expect(outcome).toMatchObject({ status, reason });
  });

  test('a program that is not there is said to be unavailable', () => {
    const { outcome } = replay([], { ...exited(127), stderrTail: 'sh: 1: claude: not found\n' });
    expect(outcome).toMatchObject({ status: 'failed', reason: 'unavailable', retryable: false });
  });

  test('killed in a second turn by somebody else is a crash', () => {
    const { outcome } = replay([init, success, init], { ...exited(0), exit: { kind: 'lost' } });
    expect(outcome).toMatchObject({ status: 'failed', reason: 'crash' });
  });
});

describe('events', () => {
  test('a whole run', () => {
    const kinds = replayTranscript('claude-success').events.map(describeEvent);
    expect(kinds).toEqual([
      'started claude-opus-5-5 2.1.329',
      'message I will write the file.',
      'tool_call Write',
      'tool_result ok',
      'message Now I check it.',
      'tool_call Bash',
      'tool_result ok',
      'message Done: hello.txt has been written and checked.',
      'usage 3900/90/0.01806',
      'turn_finished',
    ]);
  });

  test.each([
    ['claude-denied-default', 'tool_result denied'],
    ['claude-denied-dontask', 'tool_result denied'],
    ['claude-badcmd', 'tool_result failed'],
    ['claude-sigint-tool', 'tool_result aborted'],
    ['claude-error-refused', 'retry network 1'],
    ['claude-error-529-retries2', 'retry overloaded 2'],
  ])('%s has %s', (name, expected) => {
    expect(replayTranscript(name).events.map(describeEvent)).toContain(expected);
  });

  test('a resumed session is billed for its own turn only, by model', () => {
    const { outcome } = replayTranscript('claude-resume');
    // The line also says what the session has cost in all: 0.02806 dollars, 0.01806 of them by the earlier build.
    const own = { inputTokens: 2000, outputTokens: 100, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0.01 };
    expect(outcome.usage).toEqual({ ...own, turns: 2, models: [{ model: 'claude-opus-5-5', ...own }] });
  });

  test('a turn without requests of its own adds nothing', () => {
    const { outcome } = replayTranscript('claude-subagent');
    expect(outcome.usage).toMatchObject({ costUsd: 0.025, turns: 3, models: [{ inputTokens: 5000, costUsd: 0.025 }] });
  });

  test('usage adds up over the turns of a run', () => {
    const costs = replayTranscript('claude-background-bash').events.flatMap((event) =>
      event.type === 'usage' ? [event.usage.costUsd] : [],
    );
    expect(costs).toEqual([0.01, 0.015]);
  });

  test('the recorded lines are known, but for those of modes that we do not use', () => {
    const unknown = NAMES.flatMap((name) => replayTranscript(name).events).flatMap((event) =>
      event.type === 'raw' ? [event.name] : [],
    );
    expect([...new Set(unknown)].sort()).toEqual(['not an object', 'object']);
  });

  test('a long input and a long output are cut, and say so', () => {
    const long = 'z'.repeat(1_500_000);
    const { events } = replay(
      [
        line({
          type: 'assistant',
          message: { content: [{ type: 'tool_use', id: 't', name: 'Write', input: { long } }] },
        }),
        line({ type: 'user', message: { content: [{ type: 'tool_result', tool_use_id: 't', content: long }] } }),
      ],
      exited(0),
    );
    expect(events).toMatchObject([
      { content: { kind: 'tool_call', input: { long: expect.stringMatching(/^z+…$/) } } },
      { content: { kind: 'tool_result', truncated: true } },
    ]);
    for (const event of events) expect(JSON.stringify(event).length).toBeLessThan(MAX_EVENT_TEXT + 500);
  });
});

describe('what it asks, and is told', () => {
  const request = (tool_name: string, input: unknown) =>
    line({ type: 'control_request', request_id: 'r', request: { subtype: 'can_use_tool', tool_name, input } });
  const question = (options: number) => ({
    question: 'Which?',
    header: 'Which',
    multiSelect: true,
    options: Array.from({ length: options }, (_, index) => ({ label: `${index}`, description: 'd' })),
  });
  const read = (lines: readonly string[], asks = EVERYTHING) => replay(lines, exited(0), asks).events;

  test('a recorded request, which shows between the call and its result', () => {
    const { lines, end } = readTranscript('claude-sj-permission');
    const { events } = replay(lines, end, EVERYTHING);
    expect(events.map(describeEvent).slice(1, 5)).toEqual([
      'message I will write the file.',
      'tool_call Write',
      'asked',
      'tool_result ok',
    ]);
    expect(events.find(({ type }) => type === 'asked')).toMatchObject({
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      request: { kind: 'PERMISSION', tool: 'Write', input: { file_path: expect.stringContaining('hello.txt') } },
    });
  });

  test.each([
    ['its answer', { type: 'slipway', closed: 'r' }],
    ['its withdrawal', { type: 'control_cancel_request', request_id: 'r' }],
  ])('a request is closed once, by %s', (_, closing) => {
    const events = read([line(closing), request('Bash', {}), line(closing), line(closing)]);
    expect(events.map(({ type }) => type)).toEqual(['asked', 'request_closed']);
  });

  test('what is not for people is not asked: a denied tool is told, another kind is unknown', () => {
    expect(read([request('Bash', {})], { questions: true, permissions: false })).toMatchObject([{ type: 'warning' }]);
    expect(read([request('AskUserQuestion', {})], { questions: false, permissions: true })).toMatchObject([
      { type: 'warning', message: expect.stringContaining('AskUserQuestion') },
    ]);
    const other = line({ type: 'control_request', request_id: 'r', request: { subtype: 'new' } });
    expect(read([other])).toEqual([{ type: 'raw', name: 'control_request/new' }]);
  });

  test('of many questions and options the first are asked', () => {
    const [event] = read([request('AskUserQuestion', { questions: Array.from({ length: 12 }, () => question(25)) })]);
    expect(event).toMatchObject({ type: 'asked', request: { kind: 'QUESTION' } });
    const questions = event?.type === 'asked' && event.request.kind === 'QUESTION' ? event.request.questions : [];
    expect(questions.map(({ options }) => options.length)).toEqual(Array.from({ length: 10 }, () => 20));
  });

  test('a message is taken when the model reads it', () => {
    expect(read([line({ type: 'slipway', took: 'm1' })])).toEqual([{ type: 'message_taken', messageId: 'm1' }]);
  });

  test('requests are small and fit for Postgres, whatever stands in them', () => {
    const long = 'z'.repeat(100_000);
    const huge = [
      request('Bash', { long }),
      request('AskUserQuestion', { questions: [{ ...question(3), question: long }] }),
    ];
    for (const event of read(huge)) expect(JSON.stringify(event).length).toBeLessThan(MAX_EVENT_TEXT + 1_000);
    const samples = [request('Bash', { command: 'x' }), request('AskUserQuestion', { questions: [question(2)] })];
    const closing = [line({ type: 'slipway', closed: 'r' }), line({ type: 'slipway', took: 'm' })];
    expectFitForEvents([...samples, ...closing], (lines) => replay(lines, exited(0), EVERYTHING));
  });
});

describe('whatever the lines', () => {
  test('the events do not depend on how the output comes in chunks', () => {
    const { stdout, lines, end } = readTranscript('claude-error-401-bare');
    const whole = replay(lines, end);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 50 }), (sizes) => {
        const splitter = createLineSplitter(16 * 1024 * 1024);
        const found: string[] = [];
        for (let at = 0, i = 0; at < stdout.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          found.push(...splitter.push(stdout.subarray(at, at + size)).map(({ text }) => text));
          at += size;
        }
        found.push(splitter.end()?.text ?? '');
        expect(replay(found, end)).toEqual(whole);
      }),
      { numRuns: 50 },
    );
  });

  test('no line throws, and every event is small and fit for Postgres', () => {
    expectFitForEvents(
      NAMES.flatMap((name) => readTranscript(name).lines),
      (lines) => replay(lines, exited(0)),
    );
  });
});
