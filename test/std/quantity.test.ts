import { expect, test } from 'vitest';
import { parseQuantity, quantityProblem } from '../../src/std/quantity.ts';

test.each([
  ['2', 2000],
  ['0.5', 500],
  ['1.25', 1250],
  ['500m', 500],
] as const)('%s of a processor is %i thousandths', (text, millis) => {
  expect(parseQuantity('cpu', text)).toBe(millis);
  expect(quantityProblem('cpu', text)).toBeNull();
});

test.each([
  ['4Gi', 4 * 2 ** 30],
  ['512M', 512e6],
  ['1.5Gi', 1.5 * 2 ** 30],
  ['100000000', 1e8],
] as const)('%s of memory is %i bytes', (text, bytes) => {
  expect(parseQuantity('memory', text)).toBe(bytes);
  expect(quantityProblem('memory', text)).toBeNull();
});

test.each(['', '0', '1m', '-1', '1.5m', '2Gi', '1e3', 'NaN', ' 1', '1\n', '--cpu', '99999999'])(
  '%j of a processor is refused',
  (text) => {
    expect(quantityProblem('cpu', text)).toContain('2 or 500m');
  },
);

test.each(['', '0', '4', '512m', '-1Gi', '1gi', '1Ei', '1e9', 'Infinity', '4 Gi', '4Gi\n'])(
  '%j of memory is refused',
  (text) => {
    expect(quantityProblem('memory', text)).toContain('512Mi or 4Gi');
  },
);
