/** Work that is done by so many at a time; the others wait in their order. */
export class Turns {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#limit) await new Promise<void>((proceed) => this.#waiting.push(proceed));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      // The place goes to the next one, without being free in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
