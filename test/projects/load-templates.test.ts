import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InvalidInputError } from '../../src/errors.ts';
import { loadTemplates } from '../../src/projects/load-templates.ts';
import { sampleFile } from './sample-template.ts';

const MANIFEST = JSON.stringify({
  name: 'site',
  version: '1.0.0',
  description: 'A site.',
  variables: [{ name: 'title', description: 'The title' }],
  prompt: 'prompt.md',
});
const VALID = { 'site/template.json': MANIFEST, 'site/prompt.md': 'On {{ title }}: {{ prompt }}' };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-templates-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(files: Readonly<Record<string, string | Buffer>>, mode = 0o644): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content, { mode });
  }
}

/** The issue that loading reports, as one line. */
async function problem(): Promise<string> {
  const error = await loadTemplates(folder).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof InvalidInputError)) throw error ?? new Error('the templates were loaded');
  expect(error.code).toBe('INVALID_TEMPLATE');
  return error.issues.map((issue) => `${issue.path.join('/')} ${issue.message}`).join('; ');
}

test('a template is read with its files, prompt and scripts', async () => {
  await write({
    ...VALID,
    'site/files/b/{{ title }}.txt': 'b',
    'site/files/a.bin': Buffer.from([0xff, 0x00]),
    'site/scripts/demo.json': '[{ "print": "hello" }]',
    'README.md': 'not a template',
  });
  await write({ 'site/files/run.sh': 'true' }, 0o755);
  expect(await loadTemplates(folder)).toEqual([
    {
      name: 'site',
      version: '1.0.0',
      description: 'A site.',
      variables: [{ name: 'title', description: 'The title', required: false, default: null, pattern: null }],
      prompt: 'On {{ title }}: {{ prompt }}',
      artifacts: [],
      workspace: {},
      scripts: { demo: [{ print: 'hello' }] },
      files: [
        sampleFile('a.bin', Buffer.from([0xff, 0x00])),
        sampleFile('b/{{ title }}.txt', 'b'),
        sampleFile('run.sh', 'true', true),
      ],
    },
  ]);
});

test('only template.json is needed', async () => {
  await write({ 'site/template.json': '{ "name": "site", "version": "1.0.0", "description": "A site." }' });
  expect(await loadTemplates(folder)).toMatchObject([{ prompt: null, scripts: {}, files: [] }]);
});

test.each<[string, Record<string, string | Buffer>, RegExp]>([
  ['no template.json', { 'other/files/a': 'a' }, /^other\/template.json is missing/],
  ['a template.json that is not JSON', { 'site/template.json': '{' }, /^site\/template.json is not JSON/],
  ['a template.json that is not valid', { 'site/template.json': '{"name":1}' }, /^site\/template.json\/name .*version/],
  ['no prompt.md where one is named', { 'other/template.json': MANIFEST }, /^other\/prompt.md is missing/],
  ['a prompt.md without the prompt', { 'site/prompt.md': 'Go.' }, /prompt.md does not print \{\{ prompt \}\}/],
  ['an undeclared variable in the prompt', { 'site/prompt.md': '{{ prompt }} {{ x }}' }, /prompt.md reads .* x$/],
  ['an undeclared variable in a file', { 'site/files/a.liquid': '{{ x }}' }, /files\/a.liquid reads .* x$/],
  ['an undeclared variable in a path', { 'site/files/{{ x }}': '' }, /reads the undeclared variable x$/],
  ['the prompt in a file', { 'site/files/a.liquid': '{{ prompt }}' }, /reads the undeclared variable prompt$/],
  ['a .liquid file that is not text', { 'site/files/a.liquid': Buffer.from([0xff]) }, /a.liquid is not UTF-8/],
  ['a script that is no list', { 'site/scripts/demo.json': '{}' }, /scripts\/demo.json must be an array/],
  ['a script with a bad name', { 'site/scripts/Demo.json': '[]' }, /scripts\/Demo.json must be named/],
  ['a .git folder', { 'site/files/.git/config': '' }, /files\/.git the path reaches into a .git folder/],
  ['a file that is too large', { 'site/files/a': Buffer.alloc(1024 * 1024 + 1) }, /files\/a is larger than/],
  [
    'one version twice',
    { 'copy/template.json': MANIFEST, 'copy/prompt.md': '{{ prompt }}' },
    /site@1.0.0 exists twice/,
  ],
])('%s is refused', async (_what, files, message) => {
  await write({ ...VALID, ...files });
  expect(await problem()).toMatch(message);
});

test('Liquid that does not parse is refused', async () => {
  await write({ ...VALID, 'site/files/a.liquid': '{% for x in y %}' });
  await expect(loadTemplates(folder)).rejects.toThrow(/site\/files\/a.liquid: tag "for" not found/);
});

test('a link, which could lead anywhere, is refused', async () => {
  await write({ ...VALID, 'site/files/a': 'a' });
  await symlink('/etc/passwd', join(folder, 'site/files/link'));
  expect(await problem()).toMatch(/files\/link is neither a file nor a folder/);
});

test('too many files are refused', async () => {
  await write({ ...VALID, ...Object.fromEntries(Array.from({ length: 501 }, (_, n) => [`site/files/${n}`, ''])) });
  expect(await problem()).toMatch(/more than 500 files/);
});
