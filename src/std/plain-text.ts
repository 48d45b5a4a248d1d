/** Text that Postgres, JSON and a terminal all accept: no NUL and no half of a surrogate pair. */
export function isPlainText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

export const NOT_PLAIN_TEXT = 'must be well-formed text without NUL';
