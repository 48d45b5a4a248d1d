/** Follows a build as a program without our client would: POST, `text/event-stream`, and the last cursor after a cut. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Endpoint } from './graphql-request.ts';

export interface FollowedEvent {
  readonly cursor: string;
  readonly type: string;
}

interface Answer {
  readonly data?: { readonly buildProgress: FollowedEvent } | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: object }[];
}

const QUERY = 'subscription ($id: ID!, $after: String) { buildProgress(buildId: $id, after: $after) { cursor type } }';
const MAX_CONNECTIONS = 200;
/** Answers of a server that has lost its database for a while. */
const TEMPORARY = new Set(['UNAVAILABLE']);

class RefusedError extends Error {
  readonly codes: readonly unknown[];

  constructor(errors: NonNullable<Answer['errors']>) {
    super(JSON.stringify(errors));
    this.codes = errors.map(({ extensions }) => (extensions as { code?: unknown } | undefined)?.code);
  }
}

export interface SseOptions {
  /** Between two connections; none when absent. */
  readonly pauseMs?: number;
  /** Ends it at once. */
  readonly signal?: AbortSignal;
}

/** What the server sent, in its order, until FINISHED; nothing is sorted out here. Throws what the server refuses. */
export async function* followBySse(
  endpoint: Endpoint,
  id: string,
  { pauseMs = 0, signal = new AbortController().signal }: SseOptions = {},
): AsyncGenerator<FollowedEvent, void, undefined> {
  let after = '0';
  for (let connection = 1; connection <= MAX_CONNECTIONS; connection += 1) {
    try {
      for await (const event of readOnce(endpoint, { id, after }, signal)) {
        after = event.cursor;
        yield event;
        if (event.type === 'FINISHED') return;
      }
    } catch (error) {
      if (signal.aborted) return;
      const isTemporary = error instanceof RefusedError && error.codes.every((code) => TEMPORARY.has(String(code)));
      // What fetch throws when the connection breaks, before the answer or inside it.
      if (!(error instanceof TypeError) && !isTemporary) throw error;
    }
    await delay(pauseMs, undefined, { signal }).catch(() => {});
  }
  throw new Error(`The build did not end within ${MAX_CONNECTIONS} connections.`);
}

/** One connection, up to its end. */
async function* readOnce(
  { url, token }: Endpoint,
  variables: { readonly id: string; readonly after: string },
  signal: AbortSignal,
): AsyncGenerator<FollowedEvent, void, undefined> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: QUERY, variables }),
    signal,
  });
  if (!response.body) throw new Error(`HTTP ${response.status} without a body`);
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const json = /^event: next\ndata: (.*)$/m.exec(block)?.[1];
      if (json === undefined) continue;
      const { data, errors } = JSON.parse(json) as Answer;
      if (errors) throw new RefusedError(errors);
      if (data) yield data.buildProgress;
    }
  }
}
