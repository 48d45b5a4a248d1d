/** How long an operation may take. One that waits for something may take that much longer, once. */

/** However often and however long an operation waits. */
const MAX_EXTRA_MS = 60_000;

export class Deadline implements Disposable {
  readonly #pass: () => void;
  readonly #at: number;
  #timer: NodeJS.Timeout;
  #extraMs = 0;
  #passed = false;

  /** `onPassed` is called once, when the time is over. */
  constructor(ms: number, onPassed: () => void) {
    this.#at = performance.now() + ms;
    this.#pass = () => {
      this.#passed = true;
      onPassed();
    };
    this.#timer = setTimeout(this.#pass, ms);
  }

  extend(ms: number): void {
    this.#extraMs = Math.min(this.#extraMs + ms, MAX_EXTRA_MS);
    clearTimeout(this.#timer);
    if (this.#passed) return;
    this.#timer = setTimeout(this.#pass, this.#at + this.#extraMs - performance.now());
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
