/**
 * At most `max` characters of a text that came from outside, fit for Postgres and JSON: no NUL and no half of a
 * surrogate pair, not even at the cut.
 */
export function cutText(text: string, max: number): string {
  return text.slice(0, max).replaceAll('\0', '\uFFFD').toWellFormed();
}

/** At most `max` bytes of UTF-8, cut between characters, fit for Postgres and JSON like `cutText`. */
export function cutBytes(text: string, max: number): string {
  const bytes = Buffer.from(cutText(text, max));
  if (bytes.length <= max) return bytes.toString();
  let end = max;
  while (end > 0 && isContinuation(bytes[end])) end--;
  return bytes.toString('utf8', 0, end);
}

/** The first line with something on it, at most `max` characters: for a message that must stay one sentence. */
export function firstLine(text: string, max: number): string {
  const trimmed = text.trimStart().slice(0, max * 4);
  return cutText(trimmed.split('\n', 1)[0] ?? '', max).trimEnd();
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
