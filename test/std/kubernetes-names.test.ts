import { expect, test } from 'vitest';
import { dnsLabelProblem, dnsNameProblem, labelKeyProblem, labelValueProblem } from '../../src/std/kubernetes-names.ts';

const long = (length: number) => 'a'.repeat(length);

test.each([
  ['a namespace', dnsLabelProblem, ['a', 'team-1', long(63)], ['', 'A', '-a', 'a-', 'a.b', '../../', '%2e', long(64)]],
  [
    'a name',
    dnsNameProblem,
    ['a', 'a.b-c', `${long(63)}.${long(63)}`],
    ['', 'A', '.a', 'a..b', '../../', `a.${long(64)}`, `${long(63)}.`.repeat(4)],
  ],
  [
    'a key',
    labelKeyProblem,
    ['a', 'A_b.c', 'kueue.x-k8s.io/queue-name'],
    ['', '/a', 'a/', 'a/b/c', 'A.io/b', '-a', `a/${long(64)}`],
  ],
  ['a value', labelValueProblem, ['', 'a', 'A_b.c', long(63)], ['-a', 'a-', 'a b', 'a/b', long(64)]],
] as const)('%s', (_what, problem, good, bad) => {
  expect(good.filter((text) => problem(text) !== null)).toEqual([]);
  expect(bad.filter((text) => problem(text) === null)).toEqual([]);
});
