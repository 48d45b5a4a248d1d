/** One call of the Kubernetes API: JSON in, JSON out, with a deadline for all of it and a bound on the answer. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeConnection, KubeCredentials } from './kube-credentials.ts';
import { errorOfAnswer, KubeError } from './kube-error.ts';
import { pathOf } from './kube-names.ts';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Of the path, not encoded: `['api', 'v1', 'namespaces', 'default', 'pods']`. */
  readonly segments: readonly string[];
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default application/json. */
  readonly contentType?: string;
  /** Of all tries together; default 30 s. */
  readonly deadlineMs?: number;
  /** Of one try; default 10 s. */
  readonly tryMs?: number;
  /** Of the answer; default 4 MiB. */
  readonly maxBytes?: number;
  /** Doing it twice does no harm, so it is tried again. Default: GET is. */
  readonly repeatable?: boolean;
  readonly signal?: AbortSignal;
}

export interface KubeAnswer {
  readonly body: unknown;
  readonly bytes: number;
}

const DEADLINE_MS = 30_000;
const TRY_MS = 10_000;
const MAX_BYTES = 4 * 1024 ** 2;
const MAX_ERROR_BYTES = 64 * 1024;
const MAX_TRIES = 3;
const FIRST_PAUSE_MS = 200;

/** Rejects with a KubeError. Tries a repeatable call three times when the server is in trouble or cannot be reached. */
export async function callKube(credentials: KubeCredentials, request: KubeRequest): Promise<KubeAnswer> {
  const path = pathOf(request.segments);
  const deadline = performance.now() + (request.deadlineMs ?? DEADLINE_MS);
  const repeatable = request.repeatable ?? request.method === 'GET';
  let renewed = false;
  for (let tries = 1; ; ) {
    const startedAt = performance.now();
    const tryMs = Math.min(request.tryMs ?? TRY_MS, deadline - startedAt);
    try {
      return await callOnce({ credentials, request, path, deadlineMs: tryMs });
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      // Nothing was done: the server did not know who asks.
      if (error.status === 401 && !renewed) {
        renewed = true;
        if (await credentials.renew(startedAt)) continue;
      }
      const pauseMs = error.retryAfterMs ?? FIRST_PAUSE_MS * 2 ** tries * (0.5 + Math.random());
      const later = performance.now() + pauseMs < deadline;
      if (!repeatable || !error.retryable || tries >= MAX_TRIES || !later) throw error;
      tries += 1;
      await pause(pauseMs, request.signal);
    }
  }
}

/**
 * The answer's body as it comes, for a watch; its headers come within `deadlineMs`. Destroy it when done. Rejects with a
 * KubeError when the answer is not 2xx. Not tried again.
 */
export async function openKubeStream(
  credentials: KubeCredentials,
  request: KubeRequest & { readonly deadlineMs: number },
): Promise<IncomingMessage> {
  const call = new Call(request.deadlineMs, request.signal);
  try {
    const response = await call.send(credentials, request, pathOf(request.segments));
    await rejectFailure(call, request.method, response);
    return response;
  } finally {
    call.settle();
  }
}

async function callOnce(input: {
  credentials: KubeCredentials;
  request: KubeRequest;
  path: string;
  deadlineMs: number;
}): Promise<KubeAnswer> {
  const call = new Call(input.deadlineMs, input.request.signal);
  try {
    const response = await call.send(input.credentials, input.request, input.path);
    await rejectFailure(call, input.request.method, response);
    const text = await call.read(response, input.request.maxBytes ?? MAX_BYTES);
    return { body: text.length === 0 ? null : parseBody(text), bytes: text.length };
  } finally {
    call.settle();
  }
}

async function rejectFailure(call: Call, method: string, response: IncomingMessage): Promise<void> {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return;
  const body = (await call.readStart(response, MAX_ERROR_BYTES)).toString();
  throw errorOfAnswer({ status, body, retryAfter: response.headers['retry-after'], method });
}

function parseBody(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw unusable('The Kubernetes API server answered something that is not JSON.', true);
  }
}

/** One try. Whatever it waits for ends when the deadline is over or the signal aborts. */
class Call {
  readonly #timer: NodeJS.Timeout;
  readonly #signal: AbortSignal | undefined;
  readonly #stopped: Promise<never>;
  #stop: (error: KubeError) => void = () => {};
  #request: ClientRequest | null = null;

  constructor(deadlineMs: number, signal: AbortSignal | undefined) {
    this.#signal = signal;
    this.#stopped = new Promise((_resolve, reject) => {
      this.#stop = (error) => {
        reject(error);
        this.#request?.destroy();
      };
    });
    // Nobody may be waiting for it at the moment.
    this.#stopped.catch(() => {});
    this.#timer = setTimeout(() => this.#stop(late(deadlineMs)), Math.max(0, deadlineMs));
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  readonly #onAbort = () => this.#stop(aborted());

  /** Resolves with the head of the answer. */
  async send(credentials: KubeCredentials, request: KubeRequest, path: string): Promise<IncomingMessage> {
    const connection = await Promise.race([this.#stopped, credentials.connect('calls')]);
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    return Promise.race([this.#stopped, this.#open({ connection, request, path, body })]);
  }

  async read(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
    return Promise.race([this.#stopped, readBody(response, maxBytes)]);
  }

  /** Of a longer answer its beginning. */
  async readStart(response: IncomingMessage, bytes: number): Promise<Buffer> {
    return Promise.race([this.#stopped, readBody(response, bytes, { cut: true })]);
  }

  /** From now on neither deadline nor signal does anything. */
  settle(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #open(input: {
    connection: KubeConnection;
    request: KubeRequest;
    path: string;
    body: Buffer | undefined;
  }): Promise<IncomingMessage> {
    const { connection, request, body } = input;
    const send = connection.url.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const sent = send(urlOf(connection.url, input.path, request.query), {
        ...connection.options,
        method: request.method,
        headers: {
          ...connection.options.headers,
          accept: 'application/json',
          ...(body && { 'content-type': request.contentType ?? 'application/json', 'content-length': body.length }),
        },
      });
      this.#request = sent;
      sent.once('response', resolve);
      sent.on('error', (error) => reject(unreachable(connection.url, error)));
      sent.end(body);
    });
  }
}

/** What is longer is cut, or rejected. */
async function readBody(response: IncomingMessage, maxBytes: number, { cut = false } = {}): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes <= maxBytes) continue;
      if (cut) break;
      throw unusable(`The Kubernetes API server answered more than ${maxBytes / 1024 ** 2} MiB.`, false);
    }
  } catch (error) {
    if (error instanceof KubeError) throw error;
    throw new KubeError({
      status: null,
      reason: 'Unreachable',
      message: `The connection to the Kubernetes API server broke in the middle of an answer: ${messageOf(error)}`,
      retryable: true,
    });
  }
  return Buffer.concat(chunks, Math.min(bytes, maxBytes));
}

/** A server may live under a path of its own, as behind Rancher. */
export function urlOf(server: URL, path: string, query: KubeRequest['query'] | URLSearchParams): URL {
  const url = new URL(server);
  url.pathname = server.pathname.replace(/\/$/, '') + path;
  url.search = new URLSearchParams(query).toString();
  return url;
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => {
    throw aborted();
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

function unreachable(server: URL, error: Error): KubeError {
  return new KubeError({
    status: null,
    reason: 'Unreachable',
    message: `The Kubernetes API server at ${server.origin} cannot be reached: ${messageOf(error)}`,
    retryable: true,
  });
}

function unusable(message: string, retryable: boolean): KubeError {
  return new KubeError({ status: null, reason: 'Unusable', message, retryable });
}

function late(deadlineMs: number): KubeError {
  return new KubeError({
    status: null,
    reason: 'Timeout',
    message: `The Kubernetes API server gave no answer within ${Math.max(0, Math.round(deadlineMs))} ms.`,
    retryable: true,
  });
}

function aborted(): KubeError {
  return new KubeError({ status: null, reason: 'Aborted', message: 'The call was given up.', retryable: false });
}
