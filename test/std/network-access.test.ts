import { expect, test } from 'vitest';
import { hostPatternProblem, matchHost } from '../../src/std/network-access.ts';

test.each([
  ...[
    'example.com',
    'a.b.c.example.com',
    'EXAMPLE.com',
    'example.com.',
    'example.com:8443',
    '*.example.com',
    '*',
    '*:22',
  ],
  ...[
    '*.example.com:22',
    'localhost:3000',
    '10.0.0.7',
    '10.0.0.7:5432',
    '[::1]',
    '[fd00::7]:80',
    'xn--bcher-kva.example',
  ],
])('%s is a pattern', (text) => {
  expect(hostPatternProblem(text)).toBeNull();
});

test.each([
  ...['', ' ', 'http://example.com', 'example.com/', 'example.com:0', 'example.com:65536', 'example.com:', 'user@host'],
  ...['*.', '*example.com', 'a.*.com', '**', '*.*', '*.10.0.0.7', '127.1', '0x7f.1', '2130706433', '10.0.0.256', '::1'],
  ...['[::1', '[::g]', '[127.0.0.1]', '-a.com', 'a..b', 'a b', 'a\nb', `${'a'.repeat(64)}.com`, 'bücher.example'],
])('%j is none, and it is said how one looks', (text) => {
  expect(hostPatternProblem(text)).toContain('must be a host such as');
});

test.each([
  [['example.com'], 'example.com', 443, 'name'],
  [['example.com'], 'EXAMPLE.COM.', 80, 'name'],
  [['example.com'], 'example.com', 22, null],
  [['example.com:22'], 'example.com', 22, 'name'],
  [['example.com:22'], 'example.com', 443, null],
  [['example.com'], 'sub.example.com', 443, null],
  [['example.com'], 'badexample.com', 443, null],
  [['*.example.com'], 'sub.example.com', 443, 'name'],
  [['*.example.com'], 'a.b.example.com', 443, 'name'],
  [['*.example.com'], 'example.com', 443, null],
  [['*.example.com'], 'badexample.com', 443, null],
  [['*'], 'example.com', 443, 'name'],
  [['*'], '127.0.0.1', 443, null],
  [['*'], '::1', 443, null],
  [['*'], '127.1', 443, null],
  [['*'], '2130706433', 80, null],
  [['*'], 'exa mple.com', 80, null],
  [['*'], '', 80, null],
  [['127.0.0.1'], '127.0.0.1', 80, 'address'],
  [['127.0.0.1'], '127.1', 80, null],
  [['127.0.0.1'], '::ffff:127.0.0.1', 80, null],
  [['[::1]'], '0:0:0:0:0:0:0:1', 80, 'address'],
  [[], 'example.com', 443, null],
])('%j: %s port %i is %s', (patterns, host, port, match) => {
  expect(matchHost(patterns, host, port)).toBe(match);
});
