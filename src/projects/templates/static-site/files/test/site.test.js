/** What must hold for every page of the finished site. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { buildSite } from '../scripts/build-site.js';
import { readHtml } from './read-html.js';

const root = join(import.meta.dirname, '..');
const target = await mkdtemp(join(tmpdir(), 'site-'));
after(() => rm(target, { recursive: true, force: true }));

const site = JSON.parse(await readFile(join(root, 'site.json'), 'utf8'));
await buildSite(root, target);
const files = (await readdir(target, { recursive: true })).map((file) => file.replaceAll('\\', '/'));
const pages = await Promise.all(files.filter((file) => file.endsWith('.html')).map(readPage));

async function readPage(file) {
  const html = await readFile(join(target, file), 'utf8');
  const elements = readHtml(html);
  return {
    file,
    html,
    all: (...names) => elements.filter((element) => names.includes(element.name)),
    with: (attribute) => elements.filter((element) => attribute in element.attributes),
    ids: elements.flatMap((element) => (element.attributes.id === undefined ? [] : [element.attributes.id])),
  };
}

test('there is a first page, and every title is its own', () => {
  assert.ok(files.includes('index.html'));
  const titles = pages.map((page) => page.all('title')[0]?.text.trim());
  assert.equal(new Set(titles).size, pages.length, `titles: ${titles.join(', ')}`);
});

for (const page of pages) {
  describe(page.file, () => {
    test('the head says what the page is', () => {
      assert.match(page.html, /^<!doctype html>/i);
      assert.equal(page.all('html')[0]?.attributes.lang, site.language);
      assert.equal(page.all('meta')[0]?.attributes.charset, 'utf-8');
      assert.match(meta(page, 'viewport'), /width=device-width/);
      assert.doesNotMatch(meta(page, 'viewport'), /user-scalable|maximum-scale/, 'people must be able to zoom');
      assert.ok(meta(page, 'description').length > 0);
      assert.ok(page.all('title')[0]?.text.includes(site.title));
    });

    test('the landmarks are there once, and a skip link leads to the content', () => {
      for (const name of ['header', 'main', 'footer']) {
        const topLevel = page.all(name).filter((element) => element.parents.join(' ') === 'html body');
        assert.equal(topLevel.length, 1, `<${name}> in <body>`);
      }
      const [navigation] = page.all('nav');
      assert.ok(navigation?.attributes['aria-label'], '<nav> has a label');
      const [first] = page.all('a');
      assert.equal(first?.attributes.href, `#${page.all('main')[0]?.attributes.id}`, 'the first link skips to <main>');
    });

    test('the headings are an outline', () => {
      const levels = page.all('h1', 'h2', 'h3', 'h4', 'h5', 'h6').map((heading) => Number(heading.name[1]));
      assert.equal(levels.filter((level) => level === 1).length, 1, 'one <h1>');
      levels.reduce((above, level) => {
        assert.ok(level <= above + 1, `<h${level}> follows <h${above}>`);
        return level;
      }, 0);
    });

    test('everything that can be used has a name', () => {
      for (const image of page.all('img')) assert.ok('alt' in image.attributes, `alt of ${image.attributes.src}`);
      for (const element of page.all('a', 'button', 'summary', 'h1', 'h2', 'h3', 'title')) {
        const name = element.text.trim() || element.attributes['aria-label'];
        assert.ok(name, `<${element.name}> without text`);
      }
      const labelled = new Set(page.all('label').map((label) => label.attributes.for));
      for (const { name, attributes, parents } of page.all('input', 'select', 'textarea')) {
        const hasLabel = labelled.has(attributes.id) || parents.includes('label') || attributes['aria-label'];
        assert.ok(hasLabel || attributes.type === 'hidden', `<${name}> without a label`);
      }
    });

    test('ids are unique, and references to them lead somewhere', () => {
      assert.equal(new Set(page.ids).size, page.ids.length);
      for (const attribute of ['aria-labelledby', 'aria-describedby', 'for']) {
        for (const element of page.with(attribute)) {
          for (const id of element.attributes[attribute].split(/\s+/)) {
            assert.ok(page.ids.includes(id), `${attribute}="${id}"`);
          }
        }
      }
    });

    test('links and assets are part of the site', () => {
      for (const element of [...page.with('href'), ...page.with('src')]) checkReference(page, element);
    });

    test('the menu marks this page', () => {
      const links = page.all('a').filter((link) => link.parents.includes('nav'));
      const marked = links.filter((link) => link.attributes['aria-current'] === 'page');
      const inMenu = links.some((link) => link.attributes.href === page.file);
      assert.deepEqual(marked.map((link) => link.attributes.href), inMenu ? [page.file] : []);
    });
  });
}

function meta(page, name) {
  return page.all('meta').find((element) => element.attributes.name === name)?.attributes.content ?? '';
}

/** People may be sent to other sites; the page itself must not load anything from them. */
function checkReference(page, { name, attributes }) {
  const reference = attributes.href ?? attributes.src;
  if (name === 'a' && /^(https:|mailto:|tel:)/.test(reference)) return;
  assert.doesNotMatch(reference, /^([a-z][a-z0-9+.-]*:|\/)/i, `<${name}> to ${reference} must be a relative path`);
  const { pathname, hash } = new URL(reference, 'file:///');
  const file = decodeURIComponent(pathname.slice(1)) || page.file;
  assert.ok(files.includes(file), `<${name}> to ${reference}: there is no such file`);
  if (hash) {
    const ids = pages.find((candidate) => candidate.file === file)?.ids ?? [];
    assert.ok(ids.includes(decodeURIComponent(hash.slice(1))), `<${name}> to ${reference}: there is no such id`);
  }
}
