/** One POST to an address that somebody else chose, answered by a server that may mean harm. */
import { lookup as systemLookup } from 'node:dns';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from 'request-filtering-agent';
import { Webhook } from 'standardwebhooks';
import { addressDenied, type OutboundPolicy, outboundUrlProblem } from '../std/outbound-url.ts';
import { VERSION } from '../std/version.ts';
import { messageId } from './delivery.ts';

/** From the look-up of the name to the end of the answer. */
const SEND_TIMEOUT_MS = 15_000;
const MAX_RESPONSE_BYTES = 4 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;
const MAX_ERROR_LENGTH = 300;

export interface Callback {
  /** UUID. */
  readonly deliveryId: string;
  readonly url: string;
  /** JSON. */
  readonly body: string;
  /** `whsec_…`: a signature of each, as receivers change over from one to the other. */
  readonly secrets: readonly string[];
  /** The database's time: the receiver compares it with its own. */
  readonly sentAt: Date;
  /** W3C Trace Context: the trace of the build; null for builds that have none. */
  readonly traceparent: string | null;
}

export interface SendOptions extends OutboundPolicy {
  /** Gives up; the answer then has an error. */
  readonly signal: AbortSignal;
  /** In place of the system's. Its answers are checked all the same. */
  readonly lookup?: LookupFunction | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface CallbackAnswer {
  /** Null when no answer came. */
  readonly statusCode: number | null;
  /** Why it failed; null exactly when the answer was 2xx and came in time. */
  readonly error: string | null;
  /** The start of the answer as text: at most 4 KiB of the bytes as they came, without NUL. */
  readonly response: string | null;
  readonly durationMs: number;
  /** What the receiver asked for: at most a day. */
  readonly retryAfterMs: number | null;
}

class DeniedAddressError extends Error {
  override readonly name = 'DeniedAddressError';
}

/** Signs and sends it once. Never throws, never follows a redirect, never takes longer than 15 s. */
export async function sendCallback(callback: Callback, options: SendOptions): Promise<CallbackAnswer> {
  const started = performance.now();
  const timeoutMs = options.timeoutMs ?? SEND_TIMEOUT_MS;
  let answer: Omit<CallbackAnswer, 'durationMs'> = {
    statusCode: null,
    error: null,
    response: null,
    retryAfterMs: null,
  };
  let request: http.ClientRequest | null = null;
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    // Asked again: the policy may have become stricter since the URL was accepted.
    const problem = outboundUrlProblem(callback.url, options);
    if (problem) throw new DeniedAddressError(`The URL ${problem}.`);
    const signal = AbortSignal.any([options.signal, deadline]);
    request = openRequest(callback, options, signal);
    const [response] = (await once(request, 'response', { signal })) as [IncomingMessage];
    const statusCode = response.statusCode ?? 0;
    answer = { ...answer, statusCode, retryAfterMs: readRetryAfter(response.headers['retry-after'], callback.sentAt) };
    answer = { ...answer, response: await readStart(response), error: statusProblem(statusCode) };
  } catch (error) {
    const late = `There was no complete answer within ${timeoutMs / 1000} s.`;
    answer = { ...answer, error: deadline.aborted ? late : describe(error) };
  } finally {
    request?.destroy();
  }
  return { ...answer, durationMs: Math.round(performance.now() - started) };
}

function openRequest(callback: Callback, options: SendOptions, signal: AbortSignal): http.ClientRequest {
  const url = new URL(callback.url);
  const isHttps = url.protocol === 'https:';
  const filter = { allowPrivateIPAddress: options.allowPrivate, allowMetaIPAddress: options.allowPrivate };
  // A connection of its own for every try: nothing of a hostile server outlives the answer.
  const agent = isHttps ? new RequestFilteringHttpsAgent(filter) : new RequestFilteringHttpAgent(filter);
  const request = (isHttps ? https : http).request(url, {
    agent,
    headers: headersOf(callback),
    lookup: checkedLookup(options),
    maxHeaderSize: MAX_HEADER_BYTES,
    method: 'POST',
    signal,
  });
  // After the answer an error can still come, from a socket that nobody waits for any more.
  request.on('error', () => {});
  request.end(callback.body);
  return request;
}

function headersOf({ deliveryId, body, secrets, sentAt, traceparent }: Callback): http.OutgoingHttpHeaders {
  const id = messageId(deliveryId);
  return {
    accept: '*/*',
    'accept-encoding': 'identity',
    'content-length': Buffer.byteLength(body),
    'content-type': 'application/json',
    ...(traceparent !== null && { traceparent }),
    'user-agent': `slipway/${VERSION}`,
    'webhook-id': id,
    'webhook-timestamp': Math.floor(sentAt.getTime() / 1000),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, sentAt, body)).join(' '),
  };
}

/**
 * Resolves a name at the moment of connecting, and refuses it when any of its addresses is denied: an answer that
 * mixes public and private ones is an attempt to get through by chance.
 */
function checkedLookup({ allowPrivate, lookup = systemLookup as LookupFunction }: SendOptions): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const addresses = typeof found === 'string' ? [] : found;
      const [first] = addresses ?? [];
      if (error || !first) {
        done(error ?? new Error(`The host ${hostname} has no address.`), []);
      } else if (!allowPrivate && addresses.some(({ address }) => addressDenied(address))) {
        done(new DeniedAddressError('The host stands for a private or reserved address.'), []);
      } else if (options.all) {
        done(null, addresses);
      } else {
        done(null, first.address, first.family);
      }
    });
  };
}

/** Stops at 4 KiB; nothing is decompressed. */
async function readStart(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= MAX_RESPONSE_BYTES) break;
  }
  const start = Buffer.concat(chunks).subarray(0, MAX_RESPONSE_BYTES);
  // `stream` drops a character that the limit cut in half. Postgres has no NUL in texts.
  return new TextDecoder().decode(start, { stream: true }).replaceAll('\0', '\uFFFD');
}

function statusProblem(statusCode: number): string | null {
  if (statusCode >= 200 && statusCode < 300) return null;
  if (statusCode >= 300 && statusCode < 400) return `The receiver answered ${statusCode}: redirects are not followed.`;
  return `The receiver answered ${statusCode}.`;
}

/** Seconds, or a date as HTTP writes it. */
function readRetryAfter(header: string | undefined, now: Date): number | null {
  if (header === undefined) return null;
  const date = /^[A-Z][a-z]{2}, .* GMT$/.test(header) ? Date.parse(header) : Number.NaN;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : date - now.getTime();
  return Number.isNaN(wait) ? null : Math.min(Math.max(wait, 0), MAX_RETRY_AFTER_MS);
}

function describe(error: unknown): string {
  // When every address of a host fails, the reasons are inside.
  const cause = error instanceof AggregateError ? error.errors[0] : error;
  if (!(cause instanceof Error)) return 'The request failed.';
  return cause.message.slice(0, MAX_ERROR_LENGTH).toWellFormed().replaceAll('\0', '\uFFFD');
}
