import { expect, test } from 'vitest';
import { findTemplate, manifestInput, matches, templateReference } from '../../src/projects/template.ts';
import { sampleTemplate } from './sample-template.ts';

const manifest = { name: 'site', version: '1.0.0', description: 'A site.' };

test('a name finds the newest version, name@version that one', () => {
  const catalogue = ['1.2.0', '1.10.0', '1.9.9'].map((version) => sampleTemplate({ version }));
  const other = sampleTemplate({ name: 'other', version: '9.0.0' });
  expect(findTemplate([...catalogue, other], 'sample')?.version).toBe('1.10.0');
  expect(findTemplate([...catalogue, other], 'sample@1.2.0')?.version).toBe('1.2.0');
  expect(findTemplate(catalogue, 'sample@3.0.0')).toBeNull();
  expect(findTemplate(catalogue, 'nothing')).toBeNull();
  expect(templateReference(other)).toBe('other@9.0.0');
});

test('what template.json leaves out has a default', () => {
  const variables = [{ name: 'title', description: 'The title' }];
  expect(manifestInput.parse({ ...manifest, variables })).toEqual({
    ...manifest,
    variables: [{ name: 'title', description: 'The title', required: false, default: null, pattern: null }],
    artifacts: [],
    workspace: {},
  });
});

test.each([
  ['an unknown key', { unknown: true }],
  ['a version that is none', { version: '1.0' }],
  ['a leading zero', { version: '1.02.0' }],
  ['a name in capitals', { name: 'Site' }],
  ['a prompt elsewhere', { prompt: '../prompt.md' }],
  ['an artifact elsewhere', { artifacts: ['dist/../../**'] }],
  ['an absolute artifact', { artifacts: ['/etc/**'] }],
  ['an image that is none', { workspace: { image: '--privileged' } }],
  ['memory without a unit', { workspace: { memory: '4' } }],
  ['a workspace of something else', { workspace: { privileged: true } }],
  ['a variable twice', { variables: [variable('a'), variable('a')] }],
  ['a variable named prompt', { variables: [variable('prompt')] }],
  ['a variable named like a word of Liquid', { variables: [variable('empty')] }],
  ['a variable named __proto__', { variables: [variable('__proto__')] }],
  ['a pattern that is none', { variables: [{ ...variable('a'), pattern: '[' }] }],
  ['a default that does not match', { variables: [{ ...variable('a'), pattern: '[a-z]+', default: 'A' }] }],
  ['a default that is never used', { variables: [{ ...variable('a'), required: true, default: 'x' }] }],
])('template.json with %s is refused', (_what, change) => {
  expect(manifestInput.safeParse({ ...manifest, ...change }).success).toBe(false);
});

test('a pattern matches the whole value, and only short ones', () => {
  expect(matches('a|b', 'a')).toBe(true);
  expect(matches('a|b', 'ab')).toBe(false);
  expect(matches('a', 'a\n')).toBe(false);
  expect(matches('a+', 'a'.repeat(1000))).toBe(true);
  expect(matches('a+', 'a'.repeat(1001))).toBe(false);
});

function variable(name: string) {
  return { name, description: 'A variable' };
}
