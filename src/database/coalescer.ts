/**
 * Writes that come together are one statement and one commit. A row leaves at once while a lane is free; others pile up only
 * while flushes are on their way, as with the group commit of a WAL: there is no window that anybody waits for.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { OverloadedError, UnavailableError } from '../errors.ts';
import { isTransient } from './transient.ts';

/** What came of one row. */
export type Outcome<Result> =
  | { readonly ok: true; readonly value: Result }
  | { readonly ok: false; readonly error: unknown };

export interface CoalescerOptions<Row, Result> {
  /** What is written, as the refusal of one more calls it: `builds`. */
  readonly name: string;
  /**
   * Writes the rows and resolves after the commit, with the outcome of each in their order. When it throws, the rows are
   * flushed again one by one, also after a commit whose answer was lost: a row that was written before must get the same
   * answer again. So what makes a row the same one (its id, its number) is made before it is added.
   */
  readonly flush: (rows: readonly Row[]) => Promise<readonly Outcome<Result>[]>;
  /** Flushes on their way at the same time. */
  readonly lanes?: number;
  /** Rows of one flush at most. */
  readonly maxRows?: number;
  /** Rows that wait for a lane at most. */
  readonly maxWaiting?: number;
  /** What a row is worth in bytes; where rows may be long. */
  readonly sizeOf?: (row: Row) => number;
  /** Of one flush, unless one row alone is more. */
  readonly maxBytes?: number;
  /** Of all that wait for a lane. */
  readonly maxWaitingBytes?: number;
}

interface Waiter<Row, Result> {
  readonly row: Row;
  readonly bytes: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

const RETRY_AFTER_SECONDS = 1;

export class Coalescer<Row, Result> implements AsyncDisposable {
  readonly #options: Required<CoalescerOptions<Row, Result>>;
  /** A flush is part of nobody's request. */
  readonly #outside = AsyncLocalStorage.snapshot();
  readonly #flights = new Set<Promise<void>>();
  #waiting: Waiter<Row, Result>[] = [];
  #waitingBytes = 0;
  #flying = 0;
  #starting = false;
  #closed = false;

  constructor(options: CoalescerOptions<Row, Result>) {
    this.#options = {
      lanes: 2,
      maxRows: 128,
      maxWaiting: 10_000,
      sizeOf: () => 0,
      maxBytes: 4 * 1024 ** 2,
      maxWaitingBytes: 256 * 1024 ** 2,
      ...options,
    };
  }

  /** How many wait for a lane. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** How many wait or are on their way. */
  get load(): number {
    return this.#waiting.length + this.#flying;
  }

  /**
   * Resolves after the commit, with what came of this row. Rejects with the row's own error; with OverloadedError, or with
   * UnavailableError when this is closed: then the row was not written. A transient error says nothing of that.
   */
  add(row: Row): Promise<Result> {
    const { name, sizeOf, maxWaiting, maxWaitingBytes } = this.#options;
    if (this.#closed) return Promise.reject(closed());
    const bytes = sizeOf(row);
    if (
      this.#waiting.length >= maxWaiting ||
      (this.#waitingBytes > 0 && this.#waitingBytes + bytes > maxWaitingBytes)
    ) {
      const message = `${this.#waiting.length} ${name} wait to be written in this process already. Try again, or elsewhere.`;
      return Promise.reject(new OverloadedError(message, RETRY_AFTER_SECONDS));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.push({ row, bytes, resolve, reject });
    this.#waitingBytes += bytes;
    this.#start();
    return promise;
  }

  /** What is on its way ends; what waits is refused, and so is whatever comes later. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(closed());
    this.#waitingBytes = 0;
    await Promise.all(this.#flights);
  }

  /** One turn of the event loop gathers what comes together: also of those who have just been answered. */
  #start(): void {
    if (this.#starting || this.#waiting.length === 0 || this.#flights.size >= this.#options.lanes) return;
    this.#starting = true;
    setImmediate(() => {
      this.#starting = false;
      const batch = this.#take();
      if (batch.length === 0) return;
      this.#flying += batch.length;
      const flight = this.#outside(() => this.#write(batch)).finally(() => {
        this.#flying -= batch.length;
        this.#flights.delete(flight);
        this.#start();
      });
      this.#flights.add(flight);
      this.#start();
    });
  }

  #take(): Waiter<Row, Result>[] {
    const { maxRows, maxBytes } = this.#options;
    let [count, bytes] = [0, 0];
    for (const waiter of this.#waiting) {
      if (count === maxRows || (count > 0 && bytes + waiter.bytes > maxBytes)) break;
      count += 1;
      bytes += waiter.bytes;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  async #write(batch: readonly Waiter<Row, Result>[]): Promise<void> {
    try {
      await this.#flush(batch);
    } catch (error) {
      if (batch.length === 1) batch[0]?.reject(error);
      else await this.#oneByOne(batch);
    }
  }

  /** One that cannot be written fails alone. When the database does not answer one alone, it answers none of the others. */
  async #oneByOne(batch: readonly Waiter<Row, Result>[]): Promise<void> {
    let silent: { readonly error: unknown } | null = null;
    for (const waiter of batch) {
      if (silent) waiter.reject(silent.error);
      else {
        try {
          await this.#flush([waiter]);
        } catch (error) {
          waiter.reject(error);
          if (isTransient(error)) silent = { error };
        }
      }
    }
  }

  /** Answers all of them, or throws and has answered nobody. */
  async #flush(batch: readonly Waiter<Row, Result>[]): Promise<void> {
    const outcomes = await this.#options.flush(batch.map(({ row }) => row));
    if (outcomes.length !== batch.length) throw new Error(`${outcomes.length} outcomes of ${batch.length} rows`);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.ok) batch[index]?.resolve(outcome.value);
      else batch[index]?.reject(outcome.error);
    }
  }
}

function closed(): UnavailableError {
  return new UnavailableError('This process is shutting down. Try again, or elsewhere.');
}
