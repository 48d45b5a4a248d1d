/** How many of something each token has at the same time in this process. */
export class TokenCounter {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts one more until the place is left, which may be done twice; null when there are too many. */
  enter(tokenId: string): Place | null {
    const count = this.#counts.get(tokenId) ?? 0;
    if (count >= this.#limit) return null;
    this.#counts.set(tokenId, count + 1);
    return new CountedPlace(this.#counts, tokenId);
  }
}

/** An object rather than a function: a subscription holds it for long. */
export interface Place {
  leave(): void;
}

class CountedPlace implements Place {
  readonly #counts: Map<string, number>;
  readonly #tokenId: string;
  #left = false;

  constructor(counts: Map<string, number>, tokenId: string) {
    this.#counts = counts;
    this.#tokenId = tokenId;
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    const rest = (this.#counts.get(this.#tokenId) ?? 1) - 1;
    if (rest > 0) this.#counts.set(this.#tokenId, rest);
    else this.#counts.delete(this.#tokenId);
  }
}
