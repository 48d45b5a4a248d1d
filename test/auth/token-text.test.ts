import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isTokenText, makeTokenText } from '../../src/auth/token-text.ts';

test('a token has its shape, and no two are the same', () => {
  const tokens = Array.from({ length: 500 }, makeTokenText);
  expect(new Set(tokens).size).toBe(500);
  for (const token of tokens) {
    expect(token).toMatch(/^slipway_[0-9A-Za-z]{49}$/);
    expect(isTokenText(token)).toBe(true);
  }
});

test('the checksum finds every single changed character', () => {
  const token = makeTokenText();
  const position = fc.integer({ min: 'slipway_'.length, max: token.length - 1 });
  const character = fc.constantFrom(...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz');
  fc.assert(
    fc.property(position, character, (at, replacement) => {
      fc.pre(token[at] !== replacement);
      expect(isTokenText(token.slice(0, at) + replacement + token.slice(at + 1))).toBe(false);
    }),
  );
});

test.each(['', 'slipway_', `slipway_${'a'.repeat(49)}`, `slipway_${'a'.repeat(1_000_000)}`])('no token: %#', (text) => {
  expect(isTokenText(text)).toBe(false);
});
