/** The templates that come with Slipway: rendered, built, and judged by their own tests. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseScript } from '../../src/agents/scripted-steps.ts';
import { loadTemplates } from '../../src/projects/load-templates.ts';
import { renderFiles, renderPrompt } from '../../src/projects/render-template.ts';
import { resolveVariables } from '../../src/projects/resolve-variables.ts';
import { findTemplate, type Template } from '../../src/projects/template.ts';

const MODULES = join(import.meta.dirname, '../../node_modules');
/** Text that breaks what is not escaped. */
const HOSTILE = `Tom's "Tea" & <script>alert(1)</script> {{ site.author }} \${x} \\ %`;
const VARIABLES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'static-site': { title: HOSTILE, description: HOSTILE, author: HOSTILE, language: 'pt-BR' },
  'typescript-library': { package_name: '@acme/tidy-text', description: HOSTILE, author: HOSTILE },
};

const catalogue = await loadTemplates();
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'slipway-rendered-'));
  await mkdir(join(root, 'home'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function builtIn(name: string): Template {
  const template = findTemplate(catalogue, name);
  if (!template) throw new Error(`there is no template ${name}`);
  return template;
}

async function renderInto(folder: string, template: Template, given: Readonly<Record<string, string>>): Promise<void> {
  const resolved = resolveVariables(template, given);
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.issues));
  for (const file of renderFiles(template, resolved.values)) {
    const path = join(folder, file.path);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, file.content, { mode: file.executable ? 0o755 : 0o644 });
  }
}

/** What a template needs is what the machine of a user has: Node, npm, and for TypeScript its compiler. */
async function linkCompiler(folder: string): Promise<void> {
  await mkdir(join(folder, 'node_modules/.bin'), { recursive: true });
  for (const name of ['typescript', '@types', '.bin/tsc']) {
    await symlink(join(MODULES, name), join(folder, 'node_modules', name));
  }
}

/** Runs a command with an environment of its own; returns its output and whether it succeeded. */
async function run(folder: string, command: string): Promise<{ ok: boolean; output: string }> {
  const result = await execa('sh', ['-c', command], {
    cwd: folder,
    env: {
      PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
      HOME: join(root, 'home'),
      TMPDIR: root,
      npm_config_offline: 'true',
      npm_config_update_notifier: 'false',
    },
    extendEnv: false,
    all: true,
    reject: false,
    timeout: 60_000,
    maxBuffer: 4 * 1024 * 1024,
  });
  return { ok: result.exitCode === 0, output: result.all };
}

async function runWell(folder: string, command: string): Promise<string> {
  const { ok, output } = await run(folder, command);
  expect(ok, `${command}\n${output}`).toBe(true);
  return output;
}

/** What the scripted agent does with the steps that these scripts use. */
async function perform(folder: string, script: unknown): Promise<void> {
  const parsed = parseScript(script);
  if (!parsed.ok) throw new Error(parsed.message);
  for (const step of parsed.steps) {
    if ('run' in step) await runWell(folder, step.run);
    else if ('write' in step) await writeFile(join(folder, step.write.path), step.write.content);
    else if ('edit' in step) {
      const path = join(folder, step.edit.path);
      const text = await readFile(path, 'utf8');
      expect(text).toContain(step.edit.find);
      await writeFile(
        path,
        text.replace(step.edit.find, () => step.edit.replace),
      );
    } else expect(step).toHaveProperty('print');
  }
}

describe.each(Object.entries(VARIABLES))('%s', (name, given) => {
  const template = builtIn(name);
  let folder: string;
  beforeAll(async () => {
    folder = join(root, name);
    await renderInto(folder, template, given);
    await linkCompiler(folder);
  });

  test('every variable but the required ones may be left out', async () => {
    const required = template.variables.filter((variable) => variable.required).map((variable) => variable.name);
    const bare = join(root, `${name}-bare`);
    await renderInto(bare, template, Object.fromEntries(required.map((variable) => [variable, 'tea'])));
    await runWell(bare, 'npm test');
    expect(resolveVariables(template, {}).ok).toBe(required.length === 0);
  });

  test('passes its own tests with text that breaks what is not escaped', async () => {
    expect(await runWell(folder, 'npm test')).toMatch(/fail 0/);
  });

  test('builds into dist', async () => {
    await runWell(folder, 'npm run build');
    expect(await readdir(join(folder, 'dist'))).toContain(name === 'static-site' ? 'index.html' : 'index.js');
  });

  test('tells the agent its task last, and every command in package.json that it needs', () => {
    const resolved = resolveVariables(template, given);
    if (!resolved.ok) throw new Error('the variables are not valid');
    const prompt = renderPrompt(template, 'Do it.', resolved.values);
    expect(prompt.endsWith('\nDo it.\n')).toBe(true);
    expect(prompt).toContain('npm test');
    expect(prompt).toContain('npm run build');
    expect(prompt).not.toMatch(/```slipway|\[\[script:/);
  });

  test('its demo script ends with everything passing, also a second time', async () => {
    const demo = join(root, `${name}-demo`);
    await renderInto(demo, template, given);
    await perform(demo, template.scripts.demo);
    await perform(demo, template.scripts.demo);
  });
});

test('the library works for those who install it, with its types', async () => {
  const library = join(root, 'typescript-library');
  await runWell(library, 'npm run check');
  await runWell(library, 'npm run build');
  const user = join(root, 'user');
  await linkCompiler(user);
  await mkdir(join(user, 'node_modules/@acme'));
  await symlink(library, join(user, 'node_modules/@acme/tidy-text'));
  await writeFile(join(user, 'package.json'), '{ "type": "module" }');
  await writeFile(
    join(user, 'user.ts'),
    `import { slugify } from '@acme/tidy-text';
process.stdout.write(slugify('Crème brûlée'));
// @ts-expect-error: the declarations are found, and say that this is wrong.
export const wrong = (): string => slugify(1);
`,
  );
  await runWell(user, 'node_modules/.bin/tsc --noEmit --strict --module nodenext --target es2023 --types node user.ts');
  expect(await runWell(user, 'node user.ts')).toBe('creme-brulee');
});

describe('the tests of static-site notice', () => {
  const page = 'pages/about.html';
  const layout = 'layout.html';
  test.each([
    ['a dead link', page, 'index.html#promises', 'index.html#nothing', /there is no such id/],
    ['a missing file', layout, 'src="theme.js"', 'src="them.js"', /there is no such file/],
    ['another host', layout, 'src="theme.js"', 'src="https://example.com/theme.js"', /must be a relative path/],
    ['a missing title', layout, '<title>{{ page.fullTitle }}</title>', '', /the head says what the page is/],
    ['a missing landmark', layout, '<main id="content"', '<main id="other"', /the first link skips to <main>/],
    ['a skipped heading level', page, '<h2>How it is built</h2>', '<h4>How it is built</h4>', /<h4> follows <h1>/],
    ['an image without a text', page, '<h1>About</h1>', '<h1>About</h1><img src="favicon.svg">', /alt of favicon.svg/],
    ['an end tag that does not match', page, '</ol>', '</ul>', /<\/ul> closes <ol>/],
    ['a colour that is hard to read', 'public/styles.css', '#52574e', '#92978e', /muted on page/],
  ])('%s', async (what, file, find, replace, message) => {
    const folder = join(root, what.replaceAll(' ', '-'));
    await renderInto(folder, builtIn('static-site'), { title: 'Tea' });
    const text = await readFile(join(folder, file), 'utf8');
    expect(text).toContain(find);
    await writeFile(join(folder, file), text.replace(find, replace));
    const { ok, output } = await run(folder, 'node --test "test/*.test.js"');
    expect(ok).toBe(false);
    expect(output).toMatch(message);
  });
});

test('a template is rendered to the same bytes every time', async () => {
  for (const template of catalogue) {
    const resolved = resolveVariables(template, VARIABLES[template.name] ?? {});
    if (!resolved.ok) throw new Error(`${template.name} is not tested`);
    const again = (await loadTemplates()).find((candidate) => candidate.name === template.name) ?? template;
    expect(renderFiles(again, resolved.values)).toEqual(renderFiles(template, resolved.values));
  }
});
