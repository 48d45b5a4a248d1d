import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildSite } from '../scripts/build-site.js';
import { readHtml } from './read-html.js';

const source = join(import.meta.dirname, '..');
let root;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'site-'));
  for (const name of ['layout.html', 'pages', 'public']) await cp(join(source, name), join(root, name), { recursive: true });
});
after(() => rm(root, { recursive: true, force: true }));

async function build(site) {
  const values = { title: 'A', description: 'B', author: 'C', language: 'en', ...site };
  await writeFile(join(root, 'site.json'), JSON.stringify(values));
  await buildSite(root, join(root, 'dist'));
  return readFile(join(root, 'dist', 'index.html'), 'utf8');
}

test('text of the site is escaped, and never a placeholder itself', async () => {
  const title = `<script>alert("1")</script> & {{ site.author }} $& 'x'`;
  const html = await build({ title });
  assert.doesNotMatch(html, /<script>/);
  assert.equal(readHtml(html).find((element) => element.name === 'h1')?.text, title);
});

test('a file that is no longer there is gone from the built site', async () => {
  await build({});
  await writeFile(join(root, 'dist', 'old.html'), 'old');
  await build({});
  await assert.rejects(readFile(join(root, 'dist', 'old.html')), { code: 'ENOENT' });
});

test('a page without a head or with an unknown placeholder is refused by name', async () => {
  const page = join(root, 'pages', 'new.html');
  await writeFile(page, '<h1>New</h1>\n');
  await assert.rejects(build({}), /pages\/new\.html must start with a comment/);
  await writeFile(page, '<!--\ntitle: New\ndescription: New.\n-->\n<h1>{{ page.nothing }}</h1>\n');
  await assert.rejects(build({}), /new\.html: there is no \{\{ page\.nothing \}\}/);
  await rm(page);
});
