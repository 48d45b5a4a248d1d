/** The typed client: documents in, data out. Queries and mutations go by fetch, subscriptions by WebSocket. */
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
import type { Client as SocketClient } from 'graphql-ws/client';
import { type AnswerError, ApiError, ConnectionError, toApiError } from './errors.ts';
import { subscribeOnce } from './subscribe-once.ts';

/** A document of `generated.ts`; its text is what is sent. */
export type Document<Result, Variables> = DocumentTypeDecoration<Result, Variables> & { toString(): string };

export interface ClientOptions {
  /** Of the GraphQL endpoint: `http://127.0.0.1:4400/graphql`. */
  readonly url: string;
  readonly token: string | null;
  readonly fetch?: typeof fetch;
}

export interface Client extends AsyncDisposable {
  readonly url: string;
  /** Waits for at most a minute. Throws ApiError or ConnectionError. */
  request<Result, Variables>(document: Document<Result, Variables>, variables: Variables): Promise<Result>;
  /**
   * One subscription on the shared socket, never resumed: it ends when the server completes it and throws ApiError
   * when the server refuses it, ConnectionError when the socket is cut. See `watchBuild` for one that goes on.
   */
  subscribe<Result, Variables>(
    document: Document<Result, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ): AsyncIterableIterator<Result>;
  /** Ends every subscription. May be called twice. */
  close(): Promise<void>;
}

const REQUEST_LIMIT_MS = 60_000;

export function createClient(options: ClientOptions): Client {
  let socket: Promise<SocketClient> | null = null;
  let closed = false;
  const openSocket = async () => {
    if (closed) throw new ApiError('The client is closed.', { code: 'CLIENT_CLOSED' });
    socket ??= import('./socket-client.ts').then(({ openSocketClient }) => openSocketClient(options));
    return socket;
  };
  const close = async () => {
    closed = true;
    const opened = socket;
    socket = null;
    if (opened) await (await opened).dispose();
  };
  return {
    url: options.url,
    request: (document, variables) => request(options, document, variables),
    subscribe: (document, variables, signal) => subscribeOnce(openSocket, { document, variables, signal }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function request<Result, Variables>(
  options: ClientOptions,
  document: Document<Result, Variables>,
  variables: Variables,
): Promise<Result> {
  const response = await send(options, JSON.stringify({ query: document.toString(), variables }));
  const answer = await readAnswer<Result>(options, response);
  if (answer.errors && answer.errors.length > 0) throw toApiError(answer.errors);
  if (!answer.data) throw new ApiError(`The API gave no data (HTTP ${response.status}).`);
  return answer.data;
}

async function send({ url, token, fetch: send = fetch }: ClientOptions, body: string): Promise<Response> {
  try {
    return await send(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json, application/json',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
    });
  } catch (error) {
    throw new ConnectionError(`${url} cannot be reached: ${reasonOf(error)}.`, { cause: error });
  }
}

interface Answer<Result> {
  readonly data?: Result | null;
  readonly errors?: readonly AnswerError[];
}

async function readAnswer<Result>({ url }: ClientOptions, response: Response): Promise<Answer<Result>> {
  const text = await response.text().catch((error: unknown) => {
    throw new ConnectionError(`${url} stopped in the middle of its answer: ${reasonOf(error)}.`, { cause: error });
  });
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  if (typeof answer === 'object' && answer !== null && ('data' in answer || 'errors' in answer)) {
    return answer as Answer<Result>;
  }
  throw new ConnectionError(`${url} does not speak GraphQL (HTTP ${response.status}).`);
}

/** fetch hides what happened in `cause`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message;
  return error.message;
}
