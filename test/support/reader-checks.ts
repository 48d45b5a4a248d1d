/** What holds for the reader of every agent's lines, whatever stands in them. */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { AgentEvent, AgentOutcome } from '../../src/agents/agent.ts';
import { MAX_EVENT_TEXT } from '../../src/events/event.ts';

type Replay = (lines: readonly string[]) => {
  readonly events: readonly AgentEvent[];
  readonly outcome: AgentOutcome;
};

/** Replays lines like `recorded` in which anything may stand anywhere: nothing throws, and all of it can be stored. */
export function expectFitForEvents(recorded: readonly string[], replay: Replay): void {
  const known = recorded.filter((text) => text.startsWith('{'));
  const samples = [...new Map(known.map((text) => [shape(text), text])).values()];
  const nasty = fc.constantFrom(
    'a\0b',
    '\ud800',
    { '\0': ['\udc00'] },
    `${'x'.repeat(MAX_EVENT_TEXT - 1)}😀`,
    Number.MAX_VALUE,
  );
  const value = fc.oneof(fc.jsonValue(), nasty);
  const anything = fc.oneof(
    fc.tuple(fc.constantFrom(...samples), fc.nat(), value).map(mutate),
    value.map((any) => JSON.stringify(any)),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 8 }), (lines) => {
      const { events, outcome } = replay(lines);
      const stored = JSON.stringify([events, outcome]);
      expect(stored).not.toMatch(/\\u0000|\\ud[89a-f]/i);
      expect(outcome.status).toMatch(/^(succeeded|failed|cancelled)$/);
    }),
    { numRuns: 1000 },
  );
}

/** One line for each event, without its ids. */
export function describeEvent(event: AgentEvent): string {
  switch (event.type) {
    case 'started':
      return `started ${event.model} ${event.agentVersion}`;
    case 'usage':
      return `usage ${event.usage.inputTokens}/${event.usage.outputTokens}/${event.usage.costUsd}`;
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

/** The lines that differ in kind, not in text. */
function shape(text: string): string {
  const { type, subtype, role, item, message } = JSON.parse(text);
  return [type, subtype, role, item?.type, message?.content?.[0]?.type].join('/');
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
