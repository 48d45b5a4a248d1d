/** The end of what a command prints, in a bound. */
import type { OutputLine } from '../runtimes/runtime.ts';

/** Of UTF-8. */
const MAX_OUTPUT_BYTES = 48 * 1024;
const MAX_LINE = 4_096;

export class OutputTail {
  #lines: string[] = [];
  #characters = 0;

  add({ text, truncated }: Pick<OutputLine, 'text' | 'truncated'>): void {
    const line = text.length > MAX_LINE || truncated ? `${text.slice(0, MAX_LINE)}…` : text;
    this.#lines.push(line);
    this.#characters += line.length + 1;
    // Trimmed once in a while: as many lines as there are would be moved each time.
    if (this.#characters > 4 * MAX_OUTPUT_BYTES) this.#trim();
  }

  /** The last lines; the first of them may be cut. */
  get text(): string {
    const all = Buffer.from(this.#lines.join('\n').toWellFormed());
    if (all.length <= MAX_OUTPUT_BYTES) return all.toString();
    // The cut may go through a character.
    return all
      .subarray(-MAX_OUTPUT_BYTES)
      .toString()
      .replace(/^\uFFFD+/, '');
  }

  /** The newest line that holds more than blanks. */
  get lastLine(): string {
    return this.#lines.findLast((line) => line.trim() !== '')?.trim() ?? '';
  }

  #trim(): void {
    let kept = 0;
    let first = this.#lines.length;
    while (first > 0 && kept <= MAX_OUTPUT_BYTES) {
      first -= 1;
      kept += (this.#lines[first] ?? '').length + 1;
    }
    this.#lines = this.#lines.slice(first);
    this.#characters = kept;
  }
}
