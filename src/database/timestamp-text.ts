/** Times as Postgres writes them. Most answers have some, and the driver's own parser takes longer for one than for its row. */
import pg from 'pg';

export const TIMESTAMPTZ = 1184;
const DASH = 45;
const ZERO = 48;
/** `2026-11-22 19:55:48`, with up to six digits of a second behind it. */
const WHOLE_SECONDS = 19;
const MAX_LENGTH = WHOLE_SECONDS + '.123456'.length;

const parseAny: (text: string) => Date = pg.types.getTypeParser(TIMESTAMPTZ, 'text');

/** What is no time in UTC of the years 1000 to 9999 is left to the driver. */
export function parseTimestamp(text: string): Date {
  const length = text.length - '+00'.length;
  const isUsual =
    length >= WHOLE_SECONDS && length <= MAX_LENGTH && text.charCodeAt(4) === DASH && text.endsWith('+00');
  if (!isUsual || text.charCodeAt(0) === ZERO) return parseAny(text);
  const digit = (at: number) => (at < length ? text.charCodeAt(at) - ZERO : 0);
  const pair = (at: number) => digit(at) * 10 + digit(at + 1);
  const ms = digit(20) * 100 + pair(21);
  return new Date(Date.UTC(pair(0) * 100 + pair(2), pair(5) - 1, pair(8), pair(11), pair(14), pair(17), ms));
}
