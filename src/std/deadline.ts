/** A moment until which somebody waits, and that others may bring forward. */
export class Deadline implements Disposable {
  readonly #over = Promise.withResolvers<void>();
  #at = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** Resolves then; never while nobody has said when. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** In so many milliseconds at the latest. False: it is no later already. */
  within(ms: number): boolean {
    const at = performance.now() + ms;
    if (at >= this.#at) return false;
    this.#at = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#over.resolve, ms);
    return true;
  }

  /** Nobody waits for it any more. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#over.resolve();
  }
}
