/** site.json, layout.html, pages/ and public/ -> a folder that any web server can serve. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const HEAD = /^<!--\n([\s\S]*?)\n-->\n/;
const PLACEHOLDER = /\{\{ *([A-Za-z.]+) *\}\}/g;

/**
 * Replaces the folder `target` by the site in the folder `root` and returns its pages. Throws, naming the file, when a
 * page has no head or uses a placeholder that does not exist.
 */
export async function buildSite(root, target) {
  const site = JSON.parse(await readFile(join(root, 'site.json'), 'utf8'));
  const layout = await readFile(join(root, 'layout.html'), 'utf8');
  const pages = await readPages(join(root, 'pages'), site);

  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  await cp(join(root, 'public'), target, { recursive: true });
  for (const page of pages) {
    const values = {
      ...escapedValues(site, page),
      navigation: indent(navigation(pages, page), 10),
      content: indent(page.content, 6),
    };
    await writeFile(join(target, page.file), fill(layout, values, 'layout.html'));
  }
  return pages;
}

async function readPages(folder, site) {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.html')).sort();
  return Promise.all(
    files.map(async (file) => readPage(file, (await readFile(join(folder, file), 'utf8')).replaceAll('\r\n', '\n'), site)),
  );
}

function readPage(file, text, site) {
  const head = HEAD.exec(text);
  if (!head) throw new Error(`pages/${file} must start with a comment that holds its title and its description`);
  const fields = Object.fromEntries(head[1].split('\n').map((line) => readField(line, file)));
  for (const name of ['title', 'description']) {
    if (!fields[name]) throw new Error(`pages/${file} has no ${name}`);
  }
  // The head holds text, not HTML: it is escaped when it is printed.
  const plain = { 'site.title': site.title, 'site.description': site.description };
  const page = {
    file,
    title: fill(fields.title, plain, file),
    description: fill(fields.description, plain, file),
    position: Number(fields.navigation ?? Number.NaN),
  };
  return { ...page, content: fill(text.slice(head[0].length).trim(), escapedValues(site, page), file) };
}

function readField(line, file) {
  const colon = line.indexOf(':');
  if (colon === -1) throw new Error(`pages/${file}: “${line}” is not “name: value”`);
  return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
}

function escapedValues(site, page) {
  const fullTitle = page.file === 'index.html' ? site.title : `${page.title} · ${site.title}`;
  return {
    'site.title': escapeHtml(site.title),
    'site.description': escapeHtml(site.description),
    'site.author': escapeHtml(site.author),
    'site.credit': escapeHtml(site.author ? `${site.title} · ${site.author}` : site.title),
    'site.language': escapeHtml(site.language),
    'page.title': escapeHtml(page.title),
    'page.fullTitle': escapeHtml(fullTitle),
    'page.description': escapeHtml(page.description),
  };
}

function navigation(pages, current) {
  return pages
    .filter((page) => !Number.isNaN(page.position))
    .sort((a, b) => a.position - b.position)
    .map((page) => {
      const here = page === current ? ' aria-current="page"' : '';
      return `<li><a href="${encodeURI(page.file)}"${here}>${escapeHtml(page.title)}</a></li>`;
    })
    .join('\n');
}

/** One pass: what is filled in is not looked through again. */
function fill(text, values, file) {
  return text.replace(PLACEHOLDER, (placeholder, name) => {
    if (!Object.hasOwn(values, name)) throw new Error(`${file}: there is no ${placeholder}`);
    return values[name];
  });
}

/** Text whose spaces count stays as it is. */
function indent(html, spaces) {
  if (/<(pre|textarea)\b/i.test(html)) return html;
  return html.replace(/^(?=.)/gm, ' '.repeat(spaces));
}

function escapeHtml(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (character) => entities[character]);
}
