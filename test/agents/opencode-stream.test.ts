import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AgentEvent, RunEnd } from '../../src/agents/agent.ts';
import { fieldsOf } from '../../src/agents/json-fields.ts';
import { createOpenCodeRelay } from '../../src/agents/opencode-relay.ts';
import { createOpenCodeReader } from '../../src/agents/opencode-stream.ts';
import { MAX_EVENT_TEXT } from '../../src/events/event.ts';
import { linesOf, NAMES, NO_CAPS, readRecording, untilPrompt } from './opencode-recordings.ts';
import { OPENCODE_VERDICTS } from './opencode-verdicts.ts';

const exited = (code: number): RunEnd => ({ exit: { kind: 'exited', code }, stoppedBecause: null, stderrTail: '' });

const NOTHING = { questions: false, permissions: false };

function replay(lines: readonly string[], end: RunEnd = exited(0), asks = NOTHING) {
  const reader = createOpenCodeReader(asks);
  const events = lines.flatMap((line) => reader.read(line));
  return { events, outcome: reader.verdict(end) };
}

describe('the verdict on every recorded conversation', () => {
  test('each recording has an expectation and each expectation a recording', () => {
    expect(Object.keys(OPENCODE_VERDICTS).sort()).toEqual(NAMES.sort());
  });

  test.each(Object.entries(OPENCODE_VERDICTS))('%s', (name, expected) => {
    const { lines, idle } = linesOf(untilPrompt(readRecording(name), expected.prompts ?? 1));
    const { events, outcome } = replay(lines, exited(idle ? 0 : 1));
    expect(idle).toBe(expected.idle);
    expect(`${outcome.status}/${outcome.reason}`).toBe(expected.verdict);
    expect(outcome.denials).toEqual(expected.denials ?? []);
    if (expected.costUsd === null) expect(outcome.usage).toBeNull();
    else expect(outcome.usage?.costUsd).toBeCloseTo(expected.costUsd, 10);
    expect(outcome.message === null).toBe(outcome.status === 'succeeded');
    expect(events.filter((event) => event.type === 'raw')).toEqual([]);
    expect(callsOf(events)).toEqual([...new Set(callsOf(events))]);
  });

  test('a whole run is told once, though its messages are read again at the end', () => {
    const { lines } = linesOf(untilPrompt(readRecording('opencode-serve-success'), 1));
    expect(replay(lines).events.map(describeEvent)).toEqual([
      'started fake/fake-model 1.18.33',
      'tool_call write',
      'message I will write the file.',
      'tool_result ok',
      'usage 400/40/800',
      'tool_call bash',
      'message Now I check it.',
      'tool_result ok',
      'usage 500/70/2000',
      'message Done: hello.txt has been written and checked.',
      'usage 600/90/3300',
      'turn_finished',
    ]);
  });

  test.each([
    ['opencode-serve-error-badcmd', 'tool_result failed'],
    ['opencode-serve-abort-tool', 'tool_result aborted'],
    ['opencode-serve-permission-reject', 'tool_result denied'],
    ['opencode-serve-error-e500', 'retry server_error 5'],
  ])('%s has %s', (name, expected) => {
    const { lines } = linesOf(untilPrompt(readRecording(name), 1));
    expect(replay(lines).events.map(describeEvent)).toContain(expected);
  });

  test('whatever of the stream is lost, the messages that are read afterwards fill the gap', () => {
    const recording = untilPrompt(readRecording('opencode-serve-success'), 1);
    const whole = replay(linesOf(recording).lines);
    const place = fc.nat(recording.length - 1);
    fc.assert(
      fc.property(place, place, (a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const kept = recording.filter(
          ({ event }, at) => at < from || at > to || !event || event.type === 'session.idle',
        );
        const { events, outcome } = replay(linesOf(kept).lines);
        expect(outcome).toEqual(whole.outcome);
        const sorted = (all: readonly AgentEvent[]) =>
          all
            .filter(({ type }) => type === 'activity')
            .map(key)
            .sort();
        expect(sorted(events)).toEqual(sorted(whole.events));
      }),
      { numRuns: 200 },
    );
  });
});

describe('what it asks people', () => {
  const QUESTIONS = { questions: true, permissions: false };
  const PERMISSIONS = { questions: false, permissions: true };
  const requestsIn = (events: readonly AgentEvent[]) =>
    events.filter(({ type }) => type === 'asked' || type === 'request_closed');

  test('a question, and that it was dismissed', () => {
    const { lines } = linesOf(readRecording('opencode-serve-question'));
    const requestId = 'que_1fb16ae63001EarFpm6Xlrx2WT';
    const options = [
      { label: 'red', description: 'r' },
      { label: 'blue', description: 'b' },
    ];
    const question = { question: 'Which colour?', header: 'Colour', options, multiple: false };
    expect(requestsIn(replay(lines, exited(0), QUESTIONS).events)).toEqual([
      { type: 'asked', requestId, request: { kind: 'QUESTION', questions: [question] } },
      { type: 'request_closed', requestId },
    ]);
  });

  test('each permission, and that it was answered', () => {
    const { lines } = linesOf(readRecording('opencode-serve-permission-once'));
    expect(requestsIn(replay(lines, exited(0), PERMISSIONS).events)).toMatchObject([
      { type: 'asked', requestId: 'per_1fafe5b01001wzuL6XdshJc912', request: { tool: 'edit', description: /: \*$/ } },
      { type: 'request_closed', requestId: 'per_1fafe5b01001wzuL6XdshJc912' },
      {
        type: 'asked',
        requestId: 'per_1fafe5bd6001MXM58Wmft28t7l',
        request: { kind: 'PERMISSION', tool: 'bash', input: { command: 'wc -c hello.txt && echo done' } },
      },
      { type: 'request_closed', requestId: 'per_1fafe5bd6001MXM58Wmft28t7l' },
    ]);
  });

  test('nothing where nobody is there, but a warning', () => {
    const { lines } = linesOf(readRecording('opencode-serve-question'));
    const { events } = replay(lines, exited(0), PERMISSIONS);
    expect(events.filter(({ type }) => type === 'asked')).toEqual([]);
    expect(events).toContainEqual({ type: 'warning', message: expect.stringMatching(/asked a question; nobody/) });
  });

  test('and which message it was given', () => {
    expect(replay(['{"type":"took","messageId":"m-1"}']).events).toEqual([{ type: 'message_taken', messageId: 'm-1' }]);
  });

  test('once, whatever of the stream is lost: what is left open is asked for afterwards', () => {
    const relay = createOpenCodeRelay('s', NO_CAPS);
    const request = (id: string) => ({ type: 'question.asked', properties: { id, sessionID: 's', questions: [] } });
    expect(relay.take(request('q-1'))).toHaveLength(1);
    expect(relay.take(request('q-2'))).toHaveLength(1);
    expect(relay.take(request('q-2'))).toEqual([]);
    expect(relay.take({ type: 'question.asked', properties: { id: 'q-3', sessionID: 'of another' } })).toEqual([]);
    expect([...relay.requests.keys()]).toEqual(['q-1', 'q-2']);
    const closed = { type: 'permission.replied', properties: { sessionID: 's', requestID: 'q-1' } };
    expect(relay.closeOthers(new Set(['q-2']))).toEqual([closed]);
    expect(relay.take({ ...closed, type: 'question.replied' })).toEqual([]);
    expect(relay.take(request('q-1'))).toEqual([]);
    expect([...relay.requests.keys()]).toEqual(['q-2']);
  });

  test('with texts and lists that are cut', () => {
    const long = 'x'.repeat(2 * MAX_EVENT_TEXT);
    const option = { label: long, description: long };
    const question = { question: long, header: long, options: Array(30).fill(option), multiple: true };
    const properties = { id: 'q', sessionID: 's', questions: Array(30).fill(question) };
    const { events } = replay([JSON.stringify({ type: 'question.asked', properties })], exited(0), QUESTIONS);
    const [asked] = events;
    const questions = asked?.type === 'asked' && asked.request.kind === 'QUESTION' ? asked.request.questions : [];
    expect(questions).toHaveLength(10);
    expect(questions[0]?.multiple).toBe(true);
    expect(questions[0]?.question).toHaveLength(MAX_EVENT_TEXT);
    expect(questions[0]?.options).toHaveLength(20);
    expect(JSON.stringify(events).length).toBeLessThan(40 * MAX_EVENT_TEXT);
  });
});

describe('the caps', () => {
  const step = (id: string, cost: number, reason = 'tool-calls', sessionID = 's') => ({
    type: 'message.part.updated',
    properties: { part: { id, type: 'step-finish', sessionID, cost, reason, tokens: {} } },
  });
  const retry = (attempt: number) => ({
    type: 'session.status',
    properties: { sessionID: 's', status: { type: 'retry', attempt, message: 'internal', next: attempt } },
  });

  test('turns end a run that would go on', () => {
    const relay = createOpenCodeRelay('s', { ...NO_CAPS, maxTurns: 2 });
    relay.take(step('a', 1));
    expect(relay.limit()).toBeNull();
    relay.take(step('a', 1));
    relay.take(step('of a subagent', 1, 'tool-calls', 'other'));
    expect(relay.limit()).toBeNull();
    relay.take(step('b', 1));
    expect(relay.limit()).toBe('max_turns');
    relay.take(step('c', 1, 'stop'));
    expect(relay.limit()).toBeNull();
  });

  test('cost counts what subagents spend', () => {
    const relay = createOpenCodeRelay('s', { ...NO_CAPS, maxCostUsd: 1.5 });
    relay.take(step('a', 1));
    relay.take({ type: 'session.created', properties: { info: { id: 'child', parentID: 's' } } });
    expect(relay.limit()).toBeNull();
    relay.take(step('b', 1, 'stop', 'child'));
    expect(relay.limit()).toBe('budget');
  });

  test('retries are counted anew after each step', () => {
    const relay = createOpenCodeRelay('s', { ...NO_CAPS, maxRetries: 2 });
    relay.take(retry(1));
    relay.take(retry(2));
    relay.take(step('a', 0));
    relay.take(retry(1));
    expect(relay.limit()).toBeNull();
    relay.take(retry(3));
    expect(relay.limit()).toBe('retries');
  });

  test('what an earlier build said and spent is neither told nor counted', () => {
    const relay = createOpenCodeRelay('s', { ...NO_CAPS, maxCostUsd: 0.5 });
    const part = step('a', 1).properties.part;
    const message = { info: { id: 'm', role: 'assistant', sessionID: 's', finish: 'stop' }, parts: [part] };
    relay.forget(message);
    expect(relay.limit()).toBeNull();
    expect(relay.takeMessage(message)).toEqual([]);
  });

  test.each([
    ['max_turns', 'failed/max_turns'],
    ['budget', 'failed/budget'],
    ['retries', 'failed/rate_limit'],
  ])('%s is %s', (limit, verdict) => {
    const status = { type: 'retry', attempt: 4, message: 'Too Many Requests', next: 1 };
    const lines = [
      { type: 'session.status', properties: { sessionID: 's', status } },
      { type: 'limit', limit },
      { type: 'result' },
    ];
    const { outcome } = replay(lines.map((line) => JSON.stringify(line)));
    expect(`${outcome.status}/${outcome.reason}`).toBe(verdict);
  });
});

describe('whatever the lines', () => {
  test('a model without a price costs an unknown amount', () => {
    const tokens = { input: 5, output: 6, reasoning: 1, cache: { read: 2, write: 3 } };
    const part = { id: 'p', type: 'step-finish', sessionID: 's', cost: 0, reason: 'stop', tokens };
    const lines = [
      { type: 'started', sessionId: 's' },
      { type: 'message.part.updated', properties: { part } },
    ].map((line) => JSON.stringify(line));
    const { outcome } = replay(lines);
    expect(outcome.usage).toEqual({
      inputTokens: 5,
      outputTokens: 7,
      cacheReadTokens: 2,
      cacheWriteTokens: 3,
      costUsd: null,
      turns: 1,
    });
  });

  test('a result that was printed before a crash of the machine is one; without it the exit code is', () => {
    const last = { role: 'assistant', sessionID: 's', finish: 'stop' };
    const lines = [
      { type: 'started', sessionId: 's' },
      { type: 'message.updated', properties: { info: last } },
      { type: 'result' },
    ].map((line) => JSON.stringify(line));
    const lost: RunEnd = { ...exited(0), exit: { kind: 'lost' } };
    expect(replay(lines, lost).outcome.status).toBe('succeeded');
    expect(replay(lines.slice(0, -1), exited(0)).outcome).toMatchObject({ status: 'failed', reason: 'crash' });
    expect(replay(lines, { ...exited(143), stoppedBecause: 'wall_limit' }).outcome.status).toBe('succeeded');
    expect(replay(lines.slice(0, 2), { ...exited(143), stoppedBecause: 'wall_limit' }).outcome.reason).toBe('timeout');
  });

  test('an event that nobody knows is told once, without what is in it', () => {
    const relay = createOpenCodeRelay('s', NO_CAPS);
    expect(relay.take({ type: 'session.next.thing', properties: { secret: 1 } })).toEqual([
      { type: 'session.next.thing' },
    ]);
    expect(relay.take({ type: 'session.next.thing', properties: {} })).toEqual([]);
    expect(replay(['{"type":"session.next.thing"}', 'garbage', '[]']).events).toEqual([
      { type: 'raw', name: 'session.next.thing' },
      { type: 'raw', name: 'not an object' },
      { type: 'raw', name: 'not an object' },
    ]);
  });

  test('no line throws, and every event is small and fit for Postgres', () => {
    const known = NAMES.flatMap((name) => linesOf(readRecording(name)).lines);
    const samples = [...new Map(known.map((text) => [shape(text), text])).values()];
    const nasty = fc.constantFrom('a\0b', '\ud800', { '\0': ['\udc00'] }, `${'x'.repeat(MAX_EVENT_TEXT - 1)}😀`);
    const value = fc.oneof(fc.jsonValue(), nasty);
    const line = fc.tuple(fc.constantFrom(...samples), fc.nat(), value).map(mutate);
    fc.assert(
      fc.property(fc.array(fc.oneof(line, fc.string({ unit: 'binary' })), { maxLength: 8 }), (lines) => {
        const { events, outcome } = replay(lines, exited(0), { questions: true, permissions: true });
        expect(JSON.stringify([events, outcome])).not.toMatch(/\\u0000|\\ud[89a-f]/i);
        expect(outcome.status).toMatch(/^(succeeded|failed|cancelled)$/);
        const relay = createOpenCodeRelay('s', NO_CAPS);
        for (const text of lines) if (text.startsWith('{')) relay.take(fieldsOf(parse(text)) ?? {});
      }),
      { numRuns: 500 },
    );
  });
});

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The lines that differ in kind, not in text. */
function shape(text: string): string {
  const { type, properties } = JSON.parse(text);
  return `${type}/${properties?.part?.type}/${properties?.part?.state?.status}`;
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

function callsOf(events: readonly AgentEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === 'activity' && event.content.kind === 'tool_call' ? [event.content.callId] : [],
  );
}

function key(event: AgentEvent): string {
  return JSON.stringify(event);
}

function describeEvent(event: AgentEvent): string {
  switch (event.type) {
    case 'started':
      return `started ${event.model} ${event.agentVersion}`;
    case 'usage':
      return `usage ${event.usage.inputTokens}/${event.usage.outputTokens}/${event.usage.cacheReadTokens}`;
    case 'retry':
      return `retry ${event.reason} ${event.attempt}`;
    case 'activity':
      if (event.content.kind === 'tool_call') return `tool_call ${event.content.tool}`;
      if (event.content.kind === 'tool_result') return `tool_result ${event.content.status}`;
      return `${event.content.kind} ${'text' in event.content ? event.content.text : ''}`;
    default:
      return event.type;
  }
}
