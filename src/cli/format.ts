/** Numbers and tables for people. */

/** `340 ms`, `12.3 s`, `4 m 05 s`, `2 h 03 m`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(milliseconds / 1_000);
  const two = (value: number) => String(value).padStart(2, '0');
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3_600)} h ${two(Math.floor((seconds % 3_600) / 60))} m`;
}

/** `512 B`, `1.5 kB`, `3.0 GB`: powers of 1000. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** `2026-11-20 23:39:00` in the time zone of this machine. */
export function formatTime(iso: string): string {
  return new Date(iso).toLocaleString('sv-SE');
}

/** A cut cell has so many characters at least. */
const MIN_WIDTH = 16;
/** Ids and times are of no use without their ends. */
const WHOLE = /^(?:[a-z]+_[0-9a-f]{32}|\d{4}-\d\d-\d\d .*)$/;

/**
 * Columns side by side, two spaces between them. Where they are wider than `width` in all, the widest cells are cut, as
 * far as that leaves something to read; ids and times never are. What does not fit even so goes on in a second line, and
 * then uses it.
 */
export function formatTable(rows: readonly (readonly string[])[], width = Number.POSITIVE_INFINITY): string {
  const widths: number[] = [];
  const least: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
      const needs = WHOLE.test(cell) || row === rows[0] ? cell.length : Math.min(cell.length, MIN_WIDTH);
      least[i] = Math.max(least[i] ?? 0, needs);
    }
  }
  shrink(widths, least, width);
  return rows
    .map((row) =>
      row
        .map((cell, i) => cut(cell, widths[i] ?? 0).padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Takes from the widest first. `least` in a whole number of lines. */
function shrink(widths: number[], least: readonly number[], width: number): void {
  const lengthOf = (columns: readonly number[]) => columns.reduce((sum, column) => sum + column + 2, -2);
  const lines = Math.max(1, Math.ceil(lengthOf(least) / width));
  for (let over = lengthOf(widths) - lines * width; over > 0; over -= 1) {
    const spare = widths.map((column, i) => (column > (least[i] ?? 0) ? column : 0));
    const widest = spare.lastIndexOf(Math.max(...spare));
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

function cut(cell: string, width: number): string {
  return cell.length > width ? `${cell.slice(0, width - 1)}…` : cell;
}
