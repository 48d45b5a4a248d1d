import fc from 'fast-check';
import { expect, test } from 'vitest';
import { globProblem, startGlobMatch } from '../../src/std/glob.ts';

function matches(glob: string, path: string): boolean {
  return path.split('/').reduce((match, name) => match.step(name), startGlobMatch([glob])).matches;
}

test.each([
  ['report.xml', 'report.xml', true],
  ['report.xml', 'report_xml', false],
  ['report.xml', 'a/report.xml', false],
  ['./report.xml', 'report.xml', true],
  ['*.log', 'build.log', true],
  ['*.log', 'logs/build.log', false],
  ['*.log', '.log', false],
  ['.*', '.log', true],
  ['?.txt', 'a.txt', true],
  ['?.txt', '.txt', false],
  ['a*b*c', 'abbbc', true],
  ['a*b*c', 'abbbcd', false],
  ['*', 'a', true],
  ['dist/**', 'dist/a', true],
  ['dist/**', 'dist/a/b/c.js', true],
  ['dist/**', 'dist', false],
  ['dist/', 'dist/a/b', true],
  ['**/*.log', 'a.log', true],
  ['**/*.log', 'a/b/c.log', true],
  ['**/*.log', '.cache/c.log', false],
  ['**/.cache/*', 'a/.cache/c.log', true],
  ['a/**/b', 'a/b', true],
  ['a/**/b', 'a/x/y/b', true],
  ['a/**/b', 'a/x/y/c', false],
  ['**/**/a', 'a', true],
  ['**', 'a/b', true],
  ['a/*/c', 'a/b/c', true],
  ['a/*/c', 'a/c', false],
  ['(a+)+', '(a+)+', true],
])('%s on %s: %s', (glob, path, expected) => {
  expect(matches(glob, path)).toBe(expected);
});

test.each([
  '',
  '/etc/passwd',
  '../x',
  'a/../../b',
  'a/..',
  'C:/x',
  'a\0b',
  'a\nb',
  'a\\b',
  '{a,b}',
  '[ab]',
  '!a',
  'a**',
  '**/'.repeat(9),
  'a'.repeat(501),
])('%j is no glob', (glob) => {
  expect(globProblem(glob)).not.toBeNull();
  expect(() => startGlobMatch([glob])).toThrow(RangeError);
});

test('agrees with a regular expression on every small glob and path', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 });
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), minLength: 1, maxLength: 4 });
  const part = fc.oneof(
    pattern.map((text) => text.replaceAll(/\*{2,}/g, '*')),
    fc.constant('**'),
  );
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 1, maxLength: 5 }),
      fc.array(name, { minLength: 1, maxLength: 5 }),
      (globNames, pathNames) => {
        // A last ** stands for at least one name: that is the one difference to `zero or more folders`.
        const names = globNames.at(-1) === '**' ? [...globNames, '*'] : globNames;
        const source = names
          .map((text, index) => {
            const end = index === names.length - 1 ? '' : '/';
            return text === '**' ? '(?:[^/]+/)*' : text.replaceAll('*', '[^/]*').replaceAll('?', '[^/]') + end;
          })
          .join('');
        const path = pathNames.join('/');
        expect(matches(globNames.join('/'), path)).toBe(new RegExp(`^${source}$`).test(path));
      },
    ),
    { numRuns: 3000 },
  );
});

test('a folder in which nothing can match is dead', () => {
  const top = startGlobMatch(['dist/**', 'a/b.txt', '*.md']);
  expect(top.isDead).toBe(false);
  expect(top.step('node_modules').isDead).toBe(true);
  expect(top.step('dist').isDead).toBe(false);
  expect(top.step('a').isDead).toBe(false);
  expect(top.step('a').step('c').isDead).toBe(true);
  expect(top.step('README.md')).toMatchObject({ matches: true, isDead: true });
});

test('a glob and a name made to cost time do not', () => {
  // A backtracking matcher needs hours for this one.
  expect(matches(`${'*a'.repeat(200)}*b`, 'a'.repeat(255))).toBe(false);
  expect(matches('**/*/**/*/**/*/**/*/**/x', Array(200).fill('a').join('/'))).toBe(false);
});
