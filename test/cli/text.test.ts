import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseAnswer } from '../../src/cli/choose-answer.ts';
import { cleanText, oneLine } from '../../src/cli/clean-text.ts';
import { formatBytes, formatDuration, formatTable } from '../../src/cli/format.ts';

test.each([
  ['\u001b[31mred\u001b[0m', 'red'],
  ['\u001b]0;your title\u0007text', 'text'],
  ['\u001b]8;;https://example.com\u0007link\u001b]8;;\u0007', 'link'],
  ['\u009b2Jgone', 'gone'],
  ['one\r\ntwo\rthree', 'one\ntwothree'],
  ['a\u0000b\u0008c\u007fd', 'abcd'],
  ['abc\u202edef\u2066', 'abcdef'],
  ['\ttab\nline', '\ttab\nline'],
])('%j is printed as %j', (text, printed) => {
  expect(cleanText(text)).toBe(printed);
});

test('nothing that a terminal obeys is left of any text', () => {
  const text = fc.string({
    unit: fc.oneof(fc.constantFrom('\u001b', '[', ']', '\u009b', '\u0007', 'm', '3'), fc.string()),
  });
  fc.assert(
    fc.property(text, (hostile) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
      expect(cleanText(hostile)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      expect(oneLine(hostile, 20)).not.toMatch(/\n|\t/);
      expect(oneLine(hostile, 20).length).toBeLessThanOrEqual(20);
    }),
  );
});

test('numbers and tables for people', () => {
  expect([340, 12_340, 245_000, 7_380_000].map(formatDuration)).toEqual(['340 ms', '12.3 s', '4 m 05 s', '2 h 03 m']);
  expect([512, 1_500, 3_000_000_000].map(formatBytes)).toEqual(['512 B', '1.5 kB', '3.0 GB']);
  expect(
    formatTable([
      ['A', 'LONG'],
      ['wide', 'x'],
      ['', ''],
    ]),
  ).toBe('A     LONG\nwide  x\n');
});

test('a table is cut to the width of a terminal, the widest cells first; ids and times are not', () => {
  const id = `task_${'0'.repeat(32)}`;
  const rows = [
    ['NAME', 'LABELS', 'AT', 'ID'],
    ['a worker of a long name', 'gpu,'.repeat(20), '2026-11-22 05:40:00', id],
  ];
  const [head, row] = formatTable(rows, 110).split('\n');
  expect(row).toHaveLength(110);
  expect(row).toContain(`…  2026-11-22 05:40:00  ${id}`);
  expect(row).toMatch(/^a worker of a long name {2}gpu,/);
  expect(head?.indexOf('AT')).toBe(row?.indexOf('2026'));
  // What is never cut does not fit into 50: it goes on in a second line, and then uses it.
  expect(formatTable(rows, 50).split('\n')[1]).toHaveLength(100);
  expect(formatTable(rows).split('\n')[1]).toContain('gpu,'.repeat(20));
});

test.each([
  ['Red', false, ['Red']],
  ['red', false, ['Red']],
  ['2', false, ['Red']],
  // A label goes before a number.
  ['3', false, ['3']],
  ['9', false, ['9']],
  ['0', false, ['0']],
  ['1, Red', false, ['1, Red']],
  ['1, red,2', true, ['Blue', 'Red']],
  ['1, mauve', true, ['1, mauve']],
  [' something else ', true, [' something else ']],
])('the answer %j where more than one may be chosen: %j', (text, multiple, chosen) => {
  const options = ['Blue', 'Red', 'Green', '3'].map((label) => ({ label }));
  expect(chooseAnswer(text, { options, multiple })).toEqual(chosen);
});
