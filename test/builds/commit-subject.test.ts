import fc from 'fast-check';
import { expect, test } from 'vitest';
import { commitSubject } from '../../src/builds/commit-subject.ts';

test.each([
  ['Fix the login', 'Fix the login'],
  ['\n\n  Fix the login\nand more', 'Fix the login'],
  ['```slipway\n[{"say": "x"}]\n```\nFix the login', 'Fix the login'],
  ['```slipway\n[{"say": "x"}]\n```', '[{"say": "x"}]'],
  ['```\nFix the login\n```', 'Fix the login'],
  ['---\n***\n"""\nFix the login', 'Fix the login'],
  ['## Fix the login', 'Fix the login'],
  ['- Fix the login', 'Fix the login'],
  ['-rf is a name', '-rf is a name'],
  ['#hashtag', '#hashtag'],
  ['a\u0007b\tc', 'a b c'],
  ['!!!\n```', 'Build'],
  ['日本語のプロンプト', '日本語のプロンプト'],
  ['x'.repeat(72), 'x'.repeat(72)],
  ['x'.repeat(73), `${'x'.repeat(71)}…`],
  [`${'x'.repeat(70)}\u{1f6a2}\u{1f6a2}`, `${'x'.repeat(70)}…`],
  [`${'x'.repeat(68)}\u{1f468}\u200d\u{1f469}\u200d\u{1f467}`, `${'x'.repeat(68)}…`],
])('%j is called %j', (prompt, subject) => expect(commitSubject(prompt)).toBe(subject));

test('it is always one line of whole characters, at most 72 long', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (prompt) => {
      const subject = commitSubject(prompt);
      expect(subject.isWellFormed()).toBe(true);
      expect(subject).not.toMatch(/\p{Cc}/u);
      expect(subject.length).toBeGreaterThan(0);
      expect(subject.length).toBeLessThanOrEqual(72);
    }),
  );
});
