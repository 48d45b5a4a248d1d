import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTraceparent, newTrace, parseTraceparent } from '../../src/telemetry/trace-ids.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

test('what is written is read again', () => {
  for (const sampled of [true, false]) {
    const ids = { ...newTrace(), sampled };
    expect(parseTraceparent(formatTraceparent(ids))).toEqual(ids);
  }
});

test('versions to come are read as far as they are known, and what is not valid begins a new trace', () => {
  expect(parseTraceparent(`01-${TRACE}-${SPAN}-03-more`)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
  expect(parseTraceparent(`00-${TRACE}-${SPAN}-02`)).toMatchObject({ sampled: false });
  const refused = [
    '',
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${SPAN}`,
    `01-${TRACE}-${SPAN}-01-${'x'.repeat(1_000)}`,
  ];
  for (const header of refused) expect(parseTraceparent(header), header).toBeNull();
});

test('no text is too odd', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), (text) => {
      const ids = parseTraceparent(text);
      expect(ids === null || /^[0-9a-f]{32}$/.test(ids.traceId)).toBe(true);
    }),
  );
});
