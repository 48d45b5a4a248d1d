/** One request and its answer over connections that are kept, without the objects of a fetch API: a worker sends thousands. */
import { type IncomingMessage, type RequestOptions, request as sendHttp } from 'node:http';
import { request as sendHttps } from 'node:https';
import { urlToHttpOptions } from 'node:url';

export interface Exchange {
  readonly method: 'POST' | 'PUT';
  /** Below the server's address. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Of the whole answer. */
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly text: string;
}

/**
 * Gives a function that sends to this address. It rejects when there is no whole answer in time. No redirect is followed: a server
 * that sends us elsewhere would be sent the token there, too.
 */
export function createExchange(base: string): (exchange: Exchange) => Promise<Answer> {
  const url = new URL(base);
  const send = url.protocol === 'https:' ? sendHttps : sendHttp;
  const address = urlToHttpOptions(url);
  const prefix = url.pathname.replace(/\/+$/, '');
  return ({ method, path, headers, body, withinMs, signal }) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const options: RequestOptions = {
        ...{ ...address, method, path: `${prefix}${path}` },
        headers: { ...headers, 'content-length': body.byteLength },
      };
      const request = send(options, (response) => collect(response, resolve));
      const late = () => request.destroy(new Error(`There is no answer within ${withinMs} ms.`));
      const timer = setTimeout(late, withinMs).unref();
      const giveUp = () => request.destroy(signal?.reason);
      signal?.addEventListener('abort', giveUp, { once: true });
      request.on('error', reject).once('close', () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
        // It says nothing new where there was an answer, or an error.
        reject(new Error('The connection has ended without an answer.'));
      });
      request.end(body);
    });
}

/** Of an answer that is cut the request's end tells. */
function collect(response: IncomingMessage, done: (answer: Answer) => void): void {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  response.on('end', () => {
    const { statusCode = 0, statusMessage = '' } = response;
    done({ status: statusCode, reason: statusMessage, text: Buffer.concat(chunks).toString('utf8') });
  });
}
