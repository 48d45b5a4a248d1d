/** Text that is only looked for: what no stored value can hold is refused by name, before Postgres would. */
import { InvalidInputError } from '../src/errors.ts';
import { isPlainText, NOT_PLAIN_TEXT } from '../src/std/plain-text.ts';

/** Throws InvalidInputError with this path. */
export function checkText(text: string | null | undefined, path: readonly string[]): void {
  if (!text || isPlainText(text)) return;
  throw new InvalidInputError([{ path, message: NOT_PLAIN_TEXT }]);
}
