import { cutText } from './cut-text.ts';

const MAX_DEPTH = 8;
const MAX_ENTRIES = 100;
const CUT = '…';

/**
 * A copy of a parsed JSON value that holds at most about `max` characters of text, `MAX_ENTRIES` entries per list or
 * object and `MAX_DEPTH` levels; what is cut off shows as `…`. Its texts are fit for Postgres.
 */
export function cutJson(value: unknown, max: number): unknown {
  let left = max;

  function text(from: string): string {
    const kept = cutText(from, left);
    left -= kept.length;
    return kept.length < from.length ? kept + CUT : kept;
  }

  function copy(from: unknown, depth: number): unknown {
    if (typeof from === 'string') return text(from);
    if (typeof from !== 'object' || from === null) return from;
    if (depth >= MAX_DEPTH || left <= 0) return CUT;
    if (Array.isArray(from)) {
      const items = from.slice(0, MAX_ENTRIES).map((item) => copy(item, depth + 1));
      return from.length > MAX_ENTRIES ? [...items, CUT] : items;
    }
    const entries = Object.entries(from).slice(0, MAX_ENTRIES);
    return Object.fromEntries(entries.map(([key, item]) => [text(key), copy(item, depth + 1)]));
  }

  return copy(value, 0);
}
