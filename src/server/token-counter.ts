/** How many of something each token has at the same time in this process. */
export class TokenCounter {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts one more until the returned function is called, which may be called twice; null when there are too many. */
  enter(tokenId: string): (() => void) | null {
    const count = this.#counts.get(tokenId) ?? 0;
    if (count >= this.#limit) return null;
    this.#counts.set(tokenId, count + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const rest = (this.#counts.get(tokenId) ?? 1) - 1;
      if (rest > 0) this.#counts.set(tokenId, rest);
      else this.#counts.delete(tokenId);
    };
  }
}
