/** Text of agents, repositories and strangers, made harmless for a terminal. */
import { stripVTControlCharacters } from 'node:util';

/** Control characters but line feed and tab; and those that turn the direction of what follows. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Without escape sequences and control characters; line feeds and tabs stay. */
export function cleanText(text: string): string {
  return stripVTControlCharacters(text.replaceAll('\r\n', '\n')).replace(CONTROL, '');
}

/** On one line of at most `max` characters. */
export function oneLine(text: string, max = 200): string {
  // Cut before and after: the text may be a megabyte, and cleaning may shorten it.
  const line = cleanText(text.slice(0, 8 * max))
    .replace(/\s+/g, ' ')
    .trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}
