/** Colours of public/styles.css against WCAG 2.2, in both themes. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

/** What is printed on what, and the contrast it needs: 4.5 for text, 3 for lines that carry meaning. */
const PAIRS = [
  ['text', 'page', 4.5],
  ['text', 'surface', 4.5],
  ['muted', 'page', 4.5],
  ['muted', 'surface', 4.5],
  ['accent', 'page', 4.5],
  ['accent', 'surface', 4.5],
  ['on-accent', 'accent', 4.5],
  ['line', 'page', 3],
  ['line', 'surface', 3],
];

const css = await readFile(join(import.meta.dirname, '../public/styles.css'), 'utf8');
const colours = new Map(
  [...css.matchAll(/--([a-z-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)/gi)].map(([, name, light, dark]) => [
    name,
    { light, dark },
  ]),
);

test('colours are written once, at the top', () => {
  const written = css.replace(/\/\*[\s\S]*?\*\//g, '').match(/#[0-9a-f]{3,8}\b/gi) ?? [];
  assert.equal(written.length, 2 * colours.size);
});

test('every colour is part of a pair', () => {
  const paired = new Set(PAIRS.flatMap(([front, back]) => [front, back]));
  assert.deepEqual([...colours.keys()].filter((name) => !paired.has(name)), []);
});

for (const theme of ['light', 'dark']) {
  describe(theme, () => {
    for (const [front, back, least] of PAIRS) {
      test(`${front} on ${back}: at least ${least}`, () => {
        const actual = contrast(colours.get(front)[theme], colours.get(back)[theme]);
        assert.ok(actual >= least, `it is ${actual.toFixed(2)}`);
      });
    }
  });
}

function contrast(a, b) {
  const [darker, lighter] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(hex) {
  const [red, green, blue] = [1, 3, 5]
    .map((start) => Number.parseInt(hex.slice(start, start + 2), 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
