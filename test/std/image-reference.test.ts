import { expect, test } from 'vitest';
import { imageMatches, imagePatternProblem, imageProblem } from '../../src/std/image-reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test.each([
  'node',
  'node:24-bookworm',
  'docker.io/library/node:24',
  'localhost/x',
  'localhost:5000/team/agent_one:v1.2',
  'registry.example.com:443/a/b/c--d',
  `ghcr.io/team/agent@${DIGEST}`,
  `ghcr.io/team/agent:1@${DIGEST}`,
  '10.244.0.1:5000/x',
])('%s is an image', (text) => {
  expect(imageProblem(text)).toBeNull();
});

test.each([
  '',
  '--privileged',
  '-v',
  '../../',
  '../../etc',
  'a/../b',
  './x',
  '/x',
  'x/',
  'a//b',
  'Node',
  'team/Agent',
  'node:',
  'node:-x',
  `node:${'a'.repeat(129)}`,
  'node@sha256:abc',
  'node@md5:abc',
  'node latest',
  'node\n',
  'node\0',
  'node:24;id',
  '$(id)',
  'https://registry.example.com/x',
  'user:password@registry.example.com/x',
  'registry.example.com:port/x',
  'a'.repeat(256),
  'a/'.repeat(300),
])('%j is none', (text) => {
  expect(imageProblem(text)).not.toBeNull();
});

test.each([
  ['node', 'node'],
  ['node', 'node:24'],
  ['node', `node:24@${DIGEST}`],
  ['node:24', 'node:24'],
  ['node:24*', 'node:24-bookworm'],
  ['node@*', `node:24@${DIGEST}`],
  [`node@${DIGEST}`, `node@${DIGEST}`],
  ['registry.example.com/team/*', 'registry.example.com/team/agent:1'],
  ['registry.example.com/**', 'registry.example.com/a/b/c:1'],
  ['localhost:5000/*', 'localhost:5000/x:1'],
  ['*.example.com/agents/*', 'eu.example.com/agents/x'],
  ['**', `ghcr.io/team/agent:1@${DIGEST}`],
])('the pattern %s allows %s', (pattern, image) => {
  expect(imagePatternProblem(pattern)).toBeNull();
  expect(imageMatches(pattern, image)).toBe(true);
});

test.each([
  ['a tag is not passed by with a digest', 'node:24', `node:24@${DIGEST}`],
  ['a wildcard in a tag is no digest', 'node:*', `node:24@${DIGEST}`],
  ['another digest', `node@${DIGEST}`, `node@sha256:${'b'.repeat(64)}`],
  ['a tag where a digest is asked for', 'node@*', 'node:24'],
  ['another tag', 'node:24', 'node:22'],
  ['no tag where one is asked for', 'node:24', 'node'],
  ['more parts than a wildcard stands for', 'registry.example.com/team/*', 'registry.example.com/team/a/b'],
  ['a path that looks like the host', '*.example.com/agents/*', 'evil.io/a.example.com/agents/x'],
  ['more at the end', 'node', 'nodejs'],
  ['more at the beginning', 'node', 'evil/node'],
  ['a dot is a dot', 'registry.example.com/x', 'registryXexample.com/x'],
])('%s', (_what, pattern, image) => {
  expect(imageMatches(pattern, image)).toBe(false);
});

test.each(['', '-x', '/x', 'a b', '[ab]', '$(id)', '*a*a*a*a*a', 'x\n'])('%j is no pattern', (pattern) => {
  expect(imagePatternProblem(pattern)).not.toBeNull();
});
