import { expect, test } from 'vitest';
import { isTransient } from '../../src/database/transient.ts';

const withCode = (code: string) => Object.assign(new Error('refused'), { code });

test.each([
  ...['08006', '25006', '40001', '40P01', '53100', '53200', '53300', '57P01', '57P03'],
  ...['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN'],
])('%s says nothing about the statement', (code) => {
  expect(isTransient(withCode(code))).toBe(true);
});

test.each(['23505', '22P02', '25P02', '42P01', 'ENOENT'])('%s will be the same next time', (code) => {
  expect(isTransient(withCode(code))).toBe(false);
});
