import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLineSplitter, type SplitLine } from '../../src/std/line-splitter.ts';

function split(chunks: readonly Buffer[], maxLineBytes = 1024): SplitLine[] {
  const splitter = createLineSplitter(maxLineBytes);
  const lines = chunks.flatMap((chunk) => {
    const reused = Buffer.from(chunk);
    const complete = splitter.push(reused);
    reused.fill('?');
    return complete;
  });
  const last = splitter.end();
  return last === null ? lines : [...lines, last];
}

function cut(bytes: Buffer, points: readonly number[]): Buffer[] {
  const places = [...new Set([0, ...points.map((point) => point % (bytes.length + 1)), bytes.length])];
  places.sort((a, b) => a - b);
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

/** Bytes in which line ends, NUL, invalid UTF-8 and characters of every length are frequent. */
const output = fc
  .array(
    fc.oneof(
      fc.constantFrom('\n', '\r\n', '\r', '\0', '\n\n', '\ufeff').map((text) => Buffer.from(text)),
      fc.string({ unit: 'binary', maxLength: 12 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 40 },
  )
  .map((parts) => Buffer.concat(parts));

describe('line splitter', () => {
  test.each([
    ['a\nb\n', ['a', 'b']],
    ['a\r\nb\rc\n', ['a', 'b\rc']],
    ['\n\nlast', ['', '', 'last']],
    ['n\0u\0l\0\n', ['nul']],
    ['\ufeffbom\n', ['\ufeffbom']],
    ['', []],
  ])('splits %j', (text, lines) => {
    expect(split([Buffer.from(text)]).map((line) => line.text)).toEqual(lines);
  });

  test('turns invalid UTF-8 into U+FFFD', () => {
    expect(split([Buffer.from([0x61, 0xff, 0xc3, 0x0a])])[0]?.text).toBe('a\ufffd\ufffd');
  });

  test('cuts a line that is too long before a character, skips its rest and goes on', () => {
    const [long, next] = split([Buffer.from('aaa€€\r\nnext\n')], 7);
    expect(long).toEqual({ text: 'aaa€', truncated: true, end: 11 });
    expect(next).toEqual({ text: 'next', truncated: false, end: 16 });
    expect(split([Buffer.from('1234567\n')], 7)[0]?.truncated).toBe(false);
    expect(split([Buffer.from('12345678')], 7)).toEqual([{ text: '1234567', truncated: true, end: 8 }]);
  });

  test('joins a line that came in many chunks', () => {
    const text = Array.from({ length: 100_000 }, (_, i) => i).join();
    const chunks = cut(Buffer.from(`${text}\nnext\n`), [10, 60_000, 130_000, 200_000, 400_000]);
    expect(split(chunks, 1_000_000).map((line) => line.text)).toEqual([text, 'next']);
    expect(split(chunks, 333_333)[0]?.text).toBe(text.slice(0, 333_333));
  });

  test('gives the same lines however the bytes are cut into chunks', () => {
    fc.assert(
      fc.property(
        output,
        fc.array(fc.nat(), { maxLength: 30 }),
        fc.integer({ min: 1, max: 40 }),
        (bytes, points, max) => {
          expect(split(cut(bytes, points), max)).toEqual(split([bytes], max));
        },
      ),
    );
  });

  test('agrees with decoding everything at once', () => {
    fc.assert(
      fc.property(output, fc.array(fc.nat(), { maxLength: 30 }), (bytes, points) => {
        const whole = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).split('\n');
        if (whole.at(-1) === '') whole.pop();
        const expected = whole.map((line) => line.replace(/\r$/, '').replaceAll('\0', ''));
        expect(split(cut(bytes, points)).map((line) => line.text)).toEqual(expected);
      }),
    );
  });

  test('reading on from the end of any line gives the remaining lines', () => {
    fc.assert(
      fc.property(output, fc.integer({ min: 1, max: 40 }), (bytes, max) => {
        const lines = split([bytes], max);
        for (const [index, { end }] of lines.entries()) {
          const rest = split([bytes.subarray(end)], max).map((line) => ({ ...line, end: line.end + end }));
          expect(rest).toEqual(lines.slice(index + 1));
        }
      }),
    );
  });
});
