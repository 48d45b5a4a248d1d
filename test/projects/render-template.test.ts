import { isAbsolute, relative, resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '../../src/errors.ts';
import {
  MAX_FILE_BYTES,
  MAX_FILES,
  MAX_TOTAL_BYTES,
  renderFiles,
  renderPrompt,
} from '../../src/projects/render-template.ts';
import { pathProblem } from '../../src/projects/template-path.ts';
import { sampleFile, sampleTemplate } from './sample-template.ts';

const values = { title: 'Tea & <Co>', empty_one: '' };

function renderOne(content: string, given: Readonly<Record<string, string>> = values): string {
  const files = renderFiles(sampleTemplate({ files: [sampleFile('page.html.liquid', content)] }), given);
  return files[0]?.content.toString('utf8') ?? '';
}

/** What TEMPLATE_FAILED says. */
function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof InvalidInputError && error.code === 'TEMPLATE_FAILED') return error.message;
    throw error;
  }
  return 'not refused';
}

describe('files', () => {
  test('.liquid files are rendered, others are copied byte for byte, paths are rendered', () => {
    const bytes = Buffer.from([0x7b, 0x7b, 0xff, 0x00, 0x7d, 0x7d]);
    const files = renderFiles(
      sampleTemplate({
        files: [
          sampleFile('{{ folder }}/page.html.liquid', '<p>{{ title | escape }}</p>'),
          sampleFile('data.bin', bytes),
          sampleFile('run.sh', 'echo {{ title }}', true),
        ],
      }),
      { ...values, folder: 'a/b' },
    );
    expect(files).toEqual([
      sampleFile('a/b/page.html', '<p>Tea &amp; &lt;Co&gt;</p>'),
      sampleFile('data.bin', bytes),
      sampleFile('run.sh', 'echo {{ title }}', true),
    ]);
  });

  test('conditions and the filters for text are there', () => {
    expect(renderOne("{% if empty_one == '' %}none{% else %}some{% endif %}")).toBe('none');
    expect(renderOne("{{ empty_one | default: 'x' | upcase }}{% # a remark %}")).toBe('X');
  });

  test('any value survives the json filter', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (title) => {
        expect(JSON.parse(renderOne('{"title": {{ title | json }}}', { title }))).toEqual({ title });
      }),
    );
  });

  test.each([
    ['a missing variable', '{{ nothing }}', /undefined variable: nothing/],
    ['a property that is not its own', '{{ title.constructor }}', /undefined variable: title.constructor/],
    ['the same in brackets', "{{ title['constructor'] }}", /undefined variable: title.constructor/],
    ['a name that every object has', '{{ toString }}', /undefined variable: toString/],
    ['a filter that every object has', '{{ title | valueOf }}', /undefined filter: valueOf/],
    ['a tag that every object has', '{% constructor %}', /tag "constructor" not found/],
    ['an unknown filter', '{{ title | shout }}', /undefined filter: shout/],
    ['the clock', "{{ 'now' | date }}", /undefined filter: date/],
    ['a loop', '{% for i in (1..100000000) %}x{% endfor %}', /tag "for" not found/],
    ['a huge range', '{{ (1..100000000) }}', /memory alloc limit exceeded/],
    ['a file', "{% include '/etc/passwd' %}", /tag "include" not found/],
    ['another file', "{% render 'a' %}", /tag "render" not found/],
    ['a layout', "{% layout 'a' %}", /tag "layout" not found/],
    ['a tag that is not closed', '{% if title %}', /not closed/],
    ['too much text', 'x'.repeat(1024 * 1024 + 1), /parse length limit exceeded/],
    ['too deep a nesting', '{% if title %}'.repeat(50_000), /stack|limit/],
  ])('%s is refused', (_what, content, message) => {
    expect(refusal(() => renderOne(content))).toMatch(message);
  });

  test('a large value that is printed often is refused before it fills the memory', () => {
    const title = 'x'.repeat(64 * 1024);
    expect(refusal(() => renderOne('{{ title }}'.repeat(1000), { title }))).toMatch(/memory alloc limit exceeded/);
  });

  test('a rendered file, all files, and their number have limits', () => {
    const title = 'x'.repeat(64 * 1024);
    expect(refusal(() => renderOne('{{ title }}'.repeat(17), { title }))).toMatch(
      `larger than ${MAX_FILE_BYTES} bytes`,
    );
    const many = Array.from({ length: 17 }, (_, index) => sampleFile(`${index}.txt`, 'x'.repeat(MAX_FILE_BYTES)));
    expect(refusal(() => renderFiles(sampleTemplate({ files: many }), {}))).toMatch(
      `larger than ${MAX_TOTAL_BYTES} bytes`,
    );
    const tiny = Array.from({ length: MAX_FILES + 1 }, (_, index) => sampleFile(`${index}.txt`));
    expect(refusal(() => renderFiles(sampleTemplate({ files: tiny }), {}))).toMatch(`more than ${MAX_FILES}`);
  });
});

describe('paths', () => {
  test.each([
    '../outside',
    'a/../../outside',
    '/etc/passwd',
    'a//b',
    './a',
    'a/',
    '..',
    '',
    '.git/config',
    'a/.GIT/hooks/pre-commit',
    'a\\..\\b',
    'a\nb',
    'a\0b',
    'x'.repeat(256),
    'x/'.repeat(600),
  ])('%j is refused', (path) => {
    const template = sampleTemplate({ files: [sampleFile('{{ path }}', 'x')] });
    expect(refusal(() => renderFiles(template, { path }))).toMatch(/the path/);
  });

  test('a path that is accepted is inside the checkout', () => {
    const segment = fc.oneof(
      fc.constantFrom('..', '.', '', '.git', 'a', '~', '-rf', 'C:'),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 5 }), (segments) => {
        const path = segments.join('/');
        if (pathProblem(path) !== null) return;
        const inside = relative('/checkout', resolve('/checkout', path));
        expect(inside).toBe(path);
        expect(isAbsolute(inside) || inside.startsWith('../')).toBe(false);
      }),
    );
  });

  test('two files with one path, and a file that is also a folder, are refused', () => {
    const same = sampleTemplate({ files: [sampleFile('a'), sampleFile('{{ path }}')] });
    expect(refusal(() => renderFiles(same, { path: 'a' }))).toMatch(/two files have this path/);
    expect(refusal(() => renderFiles(same, { path: 'a/b/c' }))).toMatch(/both a file and a folder/);
  });

  test('a value cannot make a file be rendered', () => {
    const template = sampleTemplate({ files: [sampleFile('{{ path }}', '{{ path }}')] });
    expect(renderFiles(template, { path: 'a.liquid' })).toEqual([sampleFile('a.liquid', '{{ path }}')]);
  });
});

describe('the prompt', () => {
  const template = sampleTemplate({ prompt: 'You work on {{ title }}.\n\n{{ prompt }}\n' });

  test('is put into the template as it is, whatever it holds', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.constantFrom('{{ title }}', '{% raw %}', '{{', '$&', '%}')), (prompt) => {
        expect(renderPrompt(template, prompt, { title: 'Tea' })).toBe(`You work on Tea.\n\n${prompt}\n`);
      }),
    );
  });

  test('is used alone when the template has none', () => {
    expect(renderPrompt(sampleTemplate(), '{{ x }}', {})).toBe('{{ x }}');
  });

  test('may have the size that a spec allows', () => {
    const prompt = 'x'.repeat(1024 * 1024);
    expect(renderPrompt(template, prompt, { title: 'Tea' })).toContain(prompt);
  });
});
