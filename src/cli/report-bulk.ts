/** What became of many builds. */
import { oneLine } from './clean-text.ts';
import type { Output } from './output.ts';

interface Bulk {
  readonly matched: number;
  readonly changed: number;
  readonly ids: readonly string[];
  readonly skipped: readonly { readonly id: string; readonly message: string }[];
  readonly hasMore: boolean;
}

/** Ids on stdout, so that they can be piped; the sum on stderr. */
export function reportBulk(output: Output, result: Bulk, done: string): void {
  if (output.json) {
    output.value(result);
    return;
  }
  for (const id of result.ids) output.line(id);
  for (const { id, message } of result.skipped) output.note(`${id} is left: ${oneLine(message, 200)}`);
  output.note(`${result.changed} of ${result.matched} builds ${done}.`);
  if (result.hasMore) output.note('There are more: run it again.');
}
