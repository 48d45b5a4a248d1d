/**
 * How much text one answer may hold. A query within the complexity limit could ask for a thousand prompts of 1 MiB: it is
 * refused before they are read.
 */
import { ResponseTooLargeError } from '../src/errors.ts';
import { MAX_RESPONSE_BYTES } from './limits.ts';

export class ResponseBudget {
  readonly #exceeded: AbortController;
  #left = MAX_RESPONSE_BYTES;
  #last: Promise<unknown> = Promise.resolve();

  /** `exceeded` is what ends the operation, if something else may end it, too. */
  constructor(exceeded: AbortController = new AbortController()) {
    this.#exceeded = exceeded;
  }

  /** Aborted with a ResponseTooLargeError, so that nothing more is read for an answer that nobody gets. */
  get exceeded(): AbortSignal {
    return this.#exceeded.signal;
  }

  /** One more answer is read for with this budget. */
  extend(): void {
    this.#left += MAX_RESPONSE_BYTES;
  }

  /** Of what was read anyway, such as a page of a log. Throws ResponseTooLargeError. */
  spend(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) throw this.#exceed();
  }

  /**
   * Reads what may be large, one after the other: `load` is told how much there may be, and gives null when it is more.
   * Throws ResponseTooLargeError.
   */
  read<T>(load: (maxBytes: number) => Promise<{ readonly value: T; readonly bytes: number } | null>): Promise<T> {
    const reading = this.#last.then(async () => {
      this.#exceeded.signal.throwIfAborted();
      const loaded = await load(this.#left);
      if (!loaded) throw this.#exceed();
      this.spend(loaded.bytes);
      return loaded.value;
    });
    this.#last = reading.catch(() => {});
    return reading;
  }

  #exceed(): ResponseTooLargeError {
    const error = new ResponseTooLargeError(MAX_RESPONSE_BYTES);
    this.#exceeded.abort(error);
    return error;
  }
}
