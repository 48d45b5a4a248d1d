/** Requests of a remote worker to its server, over a network that may be cut at any moment. */
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { ServerSilentError, SupersededError } from '../errors.ts';
import { type Answer, createExchange, type Exchange } from './exchange.ts';
import { WORKER_PATH } from './protocol.ts';
import { fromWire } from './wire.ts';

const compress = promisify(gzip);

/** What keeps failing for this long gives up; a lease is long gone then. */
const RETRY_LIMIT_MS = 10 * 60_000;
const MAX_PAUSE_MS = 2_000;
/** A smaller body leaves in one flight of packets (RFC 6928): packed it would be there no earlier, and cost both sides more. */
const MIN_PACKED_BYTES = 14_600;
const ANSWER_WITHIN_MS = 30_000;
/** Of a server, or of something between us, that cannot answer now. A defect (500) is the same the next time. */
const AGAIN: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** The server answered, and refused. */
export class ServerRefusedError extends Error {
  override readonly name = 'ServerRefusedError';
  readonly status: number;

  constructor(status: number, detail: string) {
    super(`The server refused (${status}): ${detail}`);
    this.status = status;
  }
}

export interface ConnectionOptions {
  /** Of the server, such as `https://slipway.example.com`. */
  readonly url: string;
  readonly token: string;
}

export interface RequestOptions {
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
}

export class Connection {
  readonly #exchange: (exchange: Exchange) => Promise<Answer>;
  readonly #authorization: string;

  constructor({ url, token }: ConnectionOptions) {
    this.#exchange = createExchange(`${url.replace(/\/+$/, '')}${WORKER_PATH}`);
    this.#authorization = `Bearer ${token}`;
  }

  /** Throws ServerSilentError, ServerRefusedError or SupersededError. */
  async post<T>(path: string, body: unknown, options: RequestOptions = {}): Promise<T> {
    const text = Buffer.from(JSON.stringify(body));
    const packed = text.length < MIN_PACKED_BYTES ? null : await compress(text, { level: 1 });
    const headers = { 'content-type': 'application/json', ...(packed ? { 'content-encoding': 'gzip' } : {}) };
    return this.#send({ method: 'POST', path, headers, body: packed ?? text }, options);
  }

  /** Sends bytes as they are. */
  put(path: string, body: Uint8Array, options: RequestOptions = {}): Promise<unknown> {
    return this.#send({ method: 'PUT', path, headers: { 'content-type': 'application/octet-stream' }, body }, options);
  }

  /** Tries again while the server does not answer: only for what may be done twice. */
  async untilAnswered<T>(work: () => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + RETRY_LIMIT_MS;
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ServerSilentError) || performance.now() > giveUpAt) throw error;
        const pause = Math.min(MAX_PAUSE_MS, 50 * 2 ** Math.min(tries, 6)) * (0.5 + Math.random() / 2);
        // A process that has shut down everything else does not stay for this.
        await delay(pause, undefined, { ref: false });
      }
    }
  }

  async #send<T>(
    request: Omit<Exchange, 'withinMs'>,
    { withinMs = ANSWER_WITHIN_MS, signal }: RequestOptions,
  ): Promise<T> {
    const headers = { ...request.headers, authorization: this.#authorization };
    const { status, reason, text } = await this.#exchange({ ...request, headers, withinMs, signal }).catch(
      (error: unknown) => {
        throw new ServerSilentError(`The server does not answer: ${String(error)}`);
      },
    );
    if (status >= 200 && status < 300) return fromWire<T>(parse(text));
    if (status >= 300 && status < 400) throw new ServerSilentError(`${status}: what answers sends us elsewhere.`);
    const { detail = reason, code } = parse(text) as { detail?: string; code?: string };
    if (code === 'SUPERSEDED') throw new SupersededError(detail);
    if (AGAIN.has(status)) throw new ServerSilentError(`${status}: ${detail}`);
    throw new ServerRefusedError(status, detail);
  }
}

/** What is no JSON comes from something between us and the server. */
function parse(text: string): object {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? found : {};
  } catch {
    throw new ServerSilentError('What answers is not Slipway.');
  }
}
