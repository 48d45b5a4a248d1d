/**
 * Reads the HTML of one page into a list of elements, in order: { name, attributes, text, parents }, where `text` is
 * all text inside and `parents` are names from the root down. Throws where an end tag is missing or does not match.
 * It is enough for pages that people write by hand, and stricter than a browser.
 */
export function readHtml(html) {
  const elements = [];
  const open = [];
  for (const [token, comment, slash, tag, attributes, text] of html.matchAll(TOKEN)) {
    if (comment !== undefined || token.startsWith('<!')) continue;
    if (text !== undefined) addText(open, decode(text));
    else if (slash) close(open, tag.toLowerCase());
    else if (tag) {
      const element = newElement(tag.toLowerCase(), attributes, open);
      elements.push(element);
      if (!VOID.has(element.name) && !attributes.endsWith('/')) open.push(element);
    } else throw new Error(`a stray < after ${open.at(-1)?.name ?? 'the start'}`);
  }
  if (open.length > 0) throw new Error(`<${open.at(-1).name}> is not closed`);
  return elements;
}

const VOID = new Set(
  ['area', 'base', 'br', 'col', 'embed', 'hr', 'img', 'input', 'link', 'meta', 'source', 'track', 'wbr'],
);
const TOKEN =
  /<!--([\s\S]*?)-->|<!doctype[^>]*>|<(\/?)([a-z][\w-]*)((?:"[^"]*"|'[^']*'|[^"'<>])*)>|((?<=<(?:script|style)\b[^>]*>)[\s\S]+?(?=<\/(?:script|style)>)|[^<]+)|</gi;
const ATTRIBUTE = /([^\s=/"'<>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?/g;
const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: '\u00a0' };

function newElement(name, attributes, open) {
  const pairs = [...attributes.matchAll(ATTRIBUTE)].map(([, key, double, single, bare]) => [
    key.toLowerCase(),
    decode(double ?? single ?? bare ?? ''),
  ]);
  return { name, attributes: Object.fromEntries(pairs), text: '', parents: open.map((parent) => parent.name) };
}

function addText(open, text) {
  for (const element of open) element.text += text;
}

function close(open, name) {
  const last = open.pop();
  if (last?.name !== name) throw new Error(`</${name}> closes ${last ? `<${last.name}>` : 'nothing'}`);
}

function decode(text) {
  return text.replace(/&(#39|[a-z]+);/g, (entity, name) => ENTITIES[name] ?? entity);
}
