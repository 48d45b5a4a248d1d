/** Sends batches of spans to a collector, which may be slow, broken or gone. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from './logger.ts';

/** Of one try. */
const TRY_TIMEOUT_MS = 5_000;
/** Pauses before further tries of one batch. */
const PAUSES_MS = [500, 2_000];
/** Of an answer, which says nothing that is needed. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** The collector asks to be tried again. */
const BUSY = new Set([429, 502, 503, 504]);

export interface SpanSenderOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly logger: Logger;
}

export class SpanSender implements Disposable {
  readonly #options: SpanSenderOptions;
  readonly #closing = new AbortController();
  #failing = false;

  constructor(options: SpanSenderOptions) {
    this.#options = options;
  }

  /** Three tries at most, then the batch is lost; the first of an outage is logged. Never rejects. */
  async send(batch: Uint8Array | undefined): Promise<void> {
    if (!batch || this.#closing.signal.aborted) return;
    let problem: string | null = null;
    for (let tries = 0; ; tries += 1) {
      problem = await this.#try(batch);
      const pauseMs = PAUSES_MS[tries];
      if (problem === null || problem.startsWith('status') || pauseMs === undefined) break;
      await delay(pauseMs, undefined, { signal: this.#closing.signal, ref: false }).catch(() => {});
      if (this.#closing.signal.aborted) return;
    }
    if (problem !== null && !this.#failing) {
      const message = 'the collector takes no traces: they are dropped until it does, and builds do not wait for it';
      this.#options.logger.warn({ collector: new URL(this.#options.url).host, problem }, message);
    }
    this.#failing = problem !== null;
  }

  /** Cuts what is on its way. */
  [Symbol.dispose](): void {
    this.#closing.abort();
  }

  /** What went wrong; null when it was taken. `status …` is an answer that another try would get, too. */
  async #try(batch: Uint8Array): Promise<string | null> {
    const { url, headers } = this.#options;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(TRY_TIMEOUT_MS)]);
    try {
      const body = new Uint8Array(batch);
      const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
      // What counts is the status, and that is there.
      if (answer.body) await drain(answer.body).catch(() => {});
      if (answer.ok) return null;
      return BUSY.has(answer.status) ? `busy: ${answer.status}` : `status ${answer.status}`;
    } catch (error) {
      const { cause } = error as { cause?: { code?: string } };
      return cause?.code ?? (error instanceof Error ? error.name : 'Error');
    }
  }
}

/** Reads to the end, or the connection could not be used again. One that sends too much is not: it is cut. */
async function drain(body: ReadableStream<Uint8Array>): Promise<void> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) break;
  }
}
