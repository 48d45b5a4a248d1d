import { expect, test } from 'vitest';
import { resolveVariables } from '../../src/projects/resolve-variables.ts';
import { sampleTemplate, sampleVariable } from './sample-template.ts';

const template = sampleTemplate({
  variables: [
    sampleVariable('title', { required: true }),
    sampleVariable('language', { default: 'en', pattern: '[a-z]{2}' }),
    sampleVariable('author'),
  ],
});

test('every declared variable gets a value: the one given, the default, or nothing', () => {
  expect(resolveVariables(template, { title: 'Tea' })).toEqual({
    ok: true,
    values: { title: 'Tea', language: 'en', author: '' },
  });
  expect(resolveVariables(template, { title: ' Tea ', language: 'de', author: 'A' })).toEqual({
    ok: true,
    values: { title: ' Tea ', language: 'de', author: 'A' },
  });
});

test('a blank value counts as not given', () => {
  expect(resolveVariables(template, { title: 'Tea', language: ' ', author: '\n' })).toEqual({
    ok: true,
    values: { title: 'Tea', language: 'en', author: '' },
  });
});

test('every issue is told at once, with the name of its variable', () => {
  const resolved = resolveVariables(template, { language: 'german', titel: 'Tea', constructor: 'x' });
  expect(resolved).toEqual({
    ok: false,
    issues: [
      {
        path: ['variables', 'titel'],
        message: expect.stringMatching(/^undeclared variable: sample@1.2.3 declares title,/),
      },
      { path: ['variables', 'constructor'], message: expect.stringMatching(/^undeclared variable/) },
      { path: ['variables', 'title'], message: 'missing variable: The title' },
      { path: ['variables', 'language'], message: expect.stringMatching(/^does not match pattern \[a-z\]\{2\}/) },
    ],
  });
});

test('names that every object has are not given by that', () => {
  const odd = sampleTemplate({ variables: [sampleVariable('constructor', { required: true })] });
  expect(resolveVariables(odd, {}).ok).toBe(false);
  expect(resolveVariables(odd, { constructor: 'x' })).toEqual({ ok: true, values: { constructor: 'x' } });
});
