/** A subscription as an async iterator whose buffer is bounded and which ends at once when it is told to. */
import type { Client as SocketClient } from 'graphql-ws/client';
import type { Document } from './client.ts';
import { type AnswerError, ApiError, ConnectionError, toApiError } from './errors.ts';

/** Answers that a slow reader may leave waiting. A WebSocket cannot be slowed down, so with more it is cut. */
const MAX_WAITING = 1_000;

/** Close codes by which the server says that coming back is of no use. */
const REFUSALS: Readonly<Record<number, string>> = {
  4400: 'BAD_REQUEST',
  4401: 'UNAUTHENTICATED',
  4403: 'FORBIDDEN',
  4406: 'BAD_REQUEST',
};

export interface Subscription<Result, Variables> {
  readonly document: Document<Result, Variables>;
  readonly variables: Variables;
  readonly signal?: AbortSignal | undefined;
}

type Answer<Result> = { readonly data?: Result | null; readonly errors?: readonly AnswerError[] };

export function subscribeOnce<Result, Variables>(
  openSocket: () => Promise<SocketClient>,
  { document, variables, signal }: Subscription<Result, Variables>,
): AsyncIterableIterator<Result> {
  const waiting: Result[] = [];
  let end: { readonly error: Error | null } | null = null;
  let wake = () => {};
  let unsubscribe = () => {};

  const finish = (error: Error | null) => {
    end ??= { error };
    signal?.removeEventListener('abort', abandon);
    wake();
    unsubscribe();
  };
  function abandon(): void {
    waiting.length = 0;
    finish(null);
  }

  const start = async () => {
    if (signal?.aborted) return abandon();
    signal?.addEventListener('abort', abandon, { once: true });
    const socket = await openSocket();
    if (end) return;
    unsubscribe = socket.subscribe<Result>(
      { query: document.toString(), variables: variables as Record<string, unknown> },
      {
        next: (answer) => {
          const { data, errors } = answer as Answer<Result>;
          if (end) return;
          if (errors && errors.length > 0) return finish(toApiError(errors));
          if (data) waiting.push(data);
          if (waiting.length > MAX_WAITING) return finish(new ConnectionError('The reader is too slow.'));
          wake();
        },
        error: (error) => finish(toError(error)),
        complete: () => finish(null),
      },
    );
  };

  let isStarted = false;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      if (!isStarted) {
        isStarted = true;
        start().catch((error: unknown) => finish(toError(error)));
      }
      for (;;) {
        const value = waiting.shift();
        if (value !== undefined) return { value, done: false };
        if (end?.error) throw end.error;
        if (end) return { value: undefined, done: true };
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async return() {
      abandon();
      return { value: undefined, done: true };
    },
  };
}

/** graphql-ws gives errors of the API as a list, and a cut socket as its close event. */
function toError(error: unknown): Error {
  if (error instanceof ApiError) return error;
  if (Array.isArray(error)) return toApiError(error as AnswerError[]);
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number') {
    const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : '';
    const refusal = REFUSALS[error.code];
    if (refusal) return new ApiError(reason || 'The connection was refused.', { code: refusal });
    return new ConnectionError(`The connection was closed (${error.code}${reason ? `, ${reason}` : ''}).`);
  }
  return new ConnectionError('The connection failed.', { cause: error });
}
