/**
 * Reads of many callers as one statement. A question leaves at once unless the same one is on its way, or all lanes are
 * taken: those that come meanwhile gather for the next statement. So nobody gets what was read before they asked.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface GatheredReadsOptions<Key, Value> {
  /** One statement for all; null for what there is not. By `nameOf`. */
  readonly read: (keys: readonly Key[]) => Promise<ReadonlyMap<string, Value>>;
  /** Keys of the same name are the same question. */
  readonly nameOf: (key: Key) => string;
  /** Statements on their way at the same time. */
  readonly lanes?: number;
  /** Different keys of one statement. */
  readonly maxKeys?: number;
}

interface Question<Key, Value> {
  readonly key: Key;
  readonly answer: PromiseWithResolvers<Value | null>;
}

export class GatheredReads<Key, Value> {
  readonly #options: Required<GatheredReadsOptions<Key, Value>>;
  /** A statement is part of nobody's request. */
  readonly #outside = AsyncLocalStorage.snapshot();
  /** Those of the next statements, by name: as many as there are requests. */
  readonly #waiting = new Map<string, Question<Key, Value>>();
  readonly #asked = new Set<string>();
  #flights = 0;
  #starting = false;

  constructor(options: GatheredReadsOptions<Key, Value>) {
    this.#options = { lanes: 2, maxKeys: 100, ...options };
  }

  /** What is there now; null when there is nothing. Rejects as the statement does. */
  get(key: Key): Promise<Value | null> {
    const name = this.#options.nameOf(key);
    const same = this.#waiting.get(name);
    if (same) return same.answer.promise;
    const answer = Promise.withResolvers<Value | null>();
    this.#waiting.set(name, { key, answer });
    this.#start();
    return answer.promise;
  }

  /** One turn of the event loop gathers what comes together. */
  #start(): void {
    if (this.#starting || this.#waiting.size === 0 || this.#flights >= this.#options.lanes) return;
    this.#starting = true;
    setImmediate(() => {
      this.#starting = false;
      const questions = this.#take();
      if (questions.size === 0) return;
      this.#flights += 1;
      void this.#outside(() => this.#fly(questions)).finally(() => {
        this.#flights -= 1;
        for (const name of questions.keys()) this.#asked.delete(name);
        this.#start();
      });
      this.#start();
    });
  }

  #take(): ReadonlyMap<string, Question<Key, Value>> {
    const free = this.#waiting.entries().filter(([name]) => !this.#asked.has(name));
    const taken = new Map(free.take(this.#options.maxKeys));
    for (const name of taken.keys()) {
      this.#waiting.delete(name);
      this.#asked.add(name);
    }
    return taken;
  }

  async #fly(questions: ReadonlyMap<string, Question<Key, Value>>): Promise<void> {
    try {
      const found = await this.#options.read([...questions.values()].map(({ key }) => key));
      for (const [name, { answer }] of questions) answer.resolve(found.get(name) ?? null);
    } catch (error) {
      for (const { answer } of questions.values()) answer.reject(error);
    }
  }
}
