import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { refProblem } from '../../src/git/ref-name.ts';

const env = { PATH: process.env.PATH ?? '', LC_ALL: 'C', GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };

/** Both forms, because each accepts names that the other refuses. */
function gitAccepts(branch: string): boolean {
  const forms = [[`refs/heads/${branch}`], ['--branch', branch]];
  return forms.every((form) => spawnSync('git', ['check-ref-format', ...form], { cwd: '/', env }).status === 0);
}

const piece = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'x.y', '-', '.', '..', '/', '@', '@{', '{', '.lock', 'HEAD', '+', '_') },
  { weight: 1, arbitrary: fc.constantFrom('~', '^', ':', '?', '*', '[', '\\', ' ', '\t', '\n', '\x7f', 'ä', '日') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 3 }).filter((text) => !text.includes('\0')) },
);
const branches = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''));

// Read backwards it says: what git refuses in one of its forms is refused.
test('what is accepted git accepts in both forms', () => {
  fc.assert(
    fc.property(branches, (branch) => {
      fc.pre(refProblem(branch) === null);
      expect(gitAccepts(branch)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test.each(['main', 'feature/x', 'a.b', 'v1.0', 'user@host', 'HEADS', 'ünï', 'a'.repeat(200)])('accepts %j', (branch) =>
  expect(refProblem(branch)).toBeNull(),
);

test.each([
  ...['', '-x', '--upload-pack=x', '-c', '+main', 'HEAD', 'FETCH_HEAD', 'ORIG_HEAD', '@', 'a@{1}', 'a..b', 'a.', '.a'],
  ...[
    'main:refs/heads/prod',
    'x.lock',
    'x.lock/y',
    '/a',
    'a/',
    'a//b',
    'a/.b',
    'a b',
    'a\0b',
    'a\nb',
    'a~1',
    'a^',
    'a?',
  ],
  ...['a*', 'a[b', 'a\\b', 'refs/heads/x', 'a'.repeat(201), 'ä'.repeat(101), '\ud800', 'a'.repeat(1_000_000)],
])('refuses %#', (branch) => expect(refProblem(branch)).toMatch(/^must /));
