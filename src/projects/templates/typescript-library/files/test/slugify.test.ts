import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { slugify } from '../src/index.ts';

describe('slugify', () => {
  const examples = [
    ['Crème brûlée & coffee', 'creme-brulee-coffee'],
    ['  Hello,   World!  ', 'hello-world'],
    ['already-a-slug', 'already-a-slug'],
    ['Версия 2', 'версия-2'],
    ['?!', ''],
    ['', ''],
  ] as const;
  for (const [text, slug] of examples) {
    test(`${JSON.stringify(text)} becomes ${JSON.stringify(slug)}`, () => {
      assert.equal(slugify(text), slug);
    });
  }

  test('a slug stays as it is', () => {
    for (const [, slug] of examples) assert.equal(slugify(slug), slug);
  });

  test('another separator', () => {
    assert.equal(slugify('one two', { separator: '_' }), 'one_two');
  });

  test('a limit cuts between words, and a first word that is too long', () => {
    assert.equal(slugify('one two three', { maxLength: 8 }), 'one-two');
    assert.equal(slugify('one two', { maxLength: 7 }), 'one-two');
    assert.equal(slugify('extraordinary two', { maxLength: 5 }), 'extra');
  });

  test('a limit below 1 is refused', () => {
    assert.throws(() => slugify('one', { maxLength: 0 }), RangeError);
    assert.throws(() => slugify('one', { maxLength: Number.NaN }), RangeError);
  });
});
