/** Characters of a commit's subject. */
const MAX_SUBJECT = 72;
/** Of a prompt: what says nothing until here has no subject. */
const MAX_LOOKED_AT = 64 * 1024;
const FENCE = /^\s*(?:```|~~~)/;

/**
 * One line that names the prompt: its first one that says something, without Markdown's signs before it, cut between
 * characters. What stands in a fenced block comes last. `Build` where there is nothing to say.
 */
export function commitSubject(prompt: string): string {
  const outside: string[] = [];
  const inside: string[] = [];
  let fenced = false;
  for (const line of prompt.slice(0, MAX_LOOKED_AT).split('\n')) {
    if (FENCE.test(line)) fenced = !fenced;
    else (fenced ? inside : outside).push(line);
  }
  const said = [...outside, ...inside].find((line) => /[\p{L}\p{N}]/u.test(line)) ?? 'Build';
  const text = said.replaceAll(/\p{Cc}/gu, ' ').replace(/^(?:#+|[>*-])\s+/u, '');
  return cut(text.toWellFormed().trim());
}

/** Between what a reader takes for one character: an emoji may have a dozen code units. */
function cut(line: string): string {
  if (line.length <= MAX_SUBJECT) return line;
  let text = '';
  for (const { segment } of new Intl.Segmenter().segment(line.slice(0, 2 * MAX_SUBJECT))) {
    if (text.length + segment.length > MAX_SUBJECT - 1) break;
    text += segment;
  }
  return `${text.trimEnd()}…`;
}
