/** How long an operation may take. One that waits for something may take that much longer, once. */

/** However often and however long an operation waits. */
const MAX_EXTRA_MS = 60_000;

export class Deadline implements Disposable {
  readonly #passed = new AbortController();
  readonly #at: number;
  #timer: NodeJS.Timeout;
  #extraMs = 0;

  constructor(ms: number) {
    this.#at = performance.now() + ms;
    this.#timer = setTimeout(() => this.#passed.abort(), ms);
  }

  get signal(): AbortSignal {
    return this.#passed.signal;
  }

  extend(ms: number): void {
    this.#extraMs = Math.min(this.#extraMs + ms, MAX_EXTRA_MS);
    clearTimeout(this.#timer);
    if (this.#passed.signal.aborted) return;
    this.#timer = setTimeout(() => this.#passed.abort(), this.#at + this.#extraMs - performance.now());
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
