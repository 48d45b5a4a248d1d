/** Does the database server answer at all? Asked every second, over a connection of its own. */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { type BreakableClient, breakableClient } from './breakable-client.ts';

const ASK_EVERY_MS = 1_000;
const ANSWER_WITHIN_MS = 2_500;
/** Opening a connection takes several round trips. */
const CONNECT_WITHIN_MS = 5_000;

/**
 * A network that swallows packets tells nobody, and a slow query looks the same as a lost one. So a small question is
 * asked beside them: while it is not answered, nothing else will be. A server that refuses us does answer.
 */
export class ServerWatch {
  readonly #settings: pg.ClientConfig;
  readonly #onSilence: () => void;
  readonly #closing = new AbortController();
  #loop: Promise<void> | null = null;
  #connection: BreakableClient | null = null;
  #silent = false;

  constructor(options: { readonly settings: pg.ClientConfig; readonly onSilence: () => void }) {
    this.#settings = options.settings;
    this.#onSilence = options.onSilence;
  }

  /** True from the moment that an answer is overdue until the next one. */
  get silent(): boolean {
    return this.#silent;
  }

  /** A second call changes nothing. */
  start(): void {
    this.#loop ??= this.#watch();
  }

  async stop(): Promise<void> {
    this.#closing.abort();
    this.#drop();
    await this.#loop;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const answered = await this.#ask();
      if (signal.aborted) return;
      if (!answered && !this.#silent) this.#onSilence();
      this.#silent = !answered;
      await delay(ASK_EVERY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #ask(): Promise<boolean> {
    const known = this.#connection !== null;
    const asking = this.#askOnce().then(
      () => 'answered' as const,
      () => 'refused' as const,
    );
    const answer = await Promise.race([asking, overdue(known ? ANSWER_WITHIN_MS : CONNECT_WITHIN_MS)]);
    if (answer !== 'answered') this.#drop();
    return answer !== 'overdue';
  }

  async #askOnce(): Promise<void> {
    if (!this.#connection) {
      this.#connection = breakableClient({ ...this.#settings, connectionTimeoutMillis: 2 * CONNECT_WITHIN_MS });
      await this.#connection.client.connect();
    }
    await this.#connection?.client.query('select 1');
  }

  #drop(): void {
    this.#connection?.breakOff();
    this.#connection = null;
  }
}

/** After a pause of this process the answer may be here already: it is looked for once more. */
async function overdue(ms: number): Promise<'overdue'> {
  await delay(ms, undefined, { ref: false });
  for (let turn = 0; turn < 3; turn += 1) await new Promise((done) => setImmediate(done));
  return 'overdue';
}
