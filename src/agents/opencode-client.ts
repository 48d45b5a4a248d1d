/** What the OpenCode program says to its server: JSON over HTTP, and the stream of events. Never through a proxy. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { createLineSplitter } from '../std/line-splitter.ts';
import { type JsonFields, parseFields } from './json-fields.ts';

export interface OpenCodeAddress {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly password: string;
  /** The checkout: each directory has events of its own. */
  readonly directory: string;
}

export interface OpenCodeAnswer {
  readonly status: number;
  /** Parsed JSON; null where there was none. */
  readonly body: unknown;
}

export interface OpenCodeClient {
  /** Throws when there is no answer in time. The status is not looked at. */
  call(method: 'GET' | 'POST' | 'PATCH', path: string, body?: JsonFields): Promise<OpenCodeAnswer>;
  /** Events from now on; ends when the connection does, or when nothing came for a while. Throws without a connection. */
  events(): AsyncGenerator<JsonFields>;
}

/** The first call of a directory loads its settings and tools. */
const CALL_TIMEOUT_MS = 30_000;
/** The server sends a heartbeat every ten seconds. */
const SILENCE_MS = 35_000;
/** A session's messages, with what its tools printed. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;
const MAX_EVENT_BYTES = 64 * 1024 * 1024;
const LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE']);

export function createOpenCodeClient({ url, password, directory }: OpenCodeAddress): OpenCodeClient {
  const agent = new Agent({ keepAlive: true });
  const authorization = `Basic ${Buffer.from(`opencode:${password}`).toString('base64')}`;

  async function send(method: string, path: string, options: { body?: string; timeoutMs: number | null }) {
    const target = new URL(path, url);
    target.searchParams.set('directory', directory);
    const signal = options.timeoutMs === null ? {} : { signal: AbortSignal.timeout(options.timeoutMs) };
    const headers = { authorization, ...(options.body === undefined ? {} : { 'content-type': 'application/json' }) };
    return new Promise<IncomingMessage>((answered, failed) => {
      request(target, { method, agent, headers, ...signal })
        .on('response', answered)
        .on('error', failed)
        .end(options.body);
    });
  }

  return {
    async call(method, path, body) {
      const text = body === undefined ? {} : { body: JSON.stringify(body) };
      const response = await send(method, path, { ...text, timeoutMs: CALL_TIMEOUT_MS });
      return { status: response.statusCode ?? 0, body: parseJson(await readBody(response)) };
    },

    async *events() {
      const response = await send('GET', '/event', { timeoutMs: null });
      response.setTimeout(SILENCE_MS, () => response.destroy());
      if (response.statusCode !== 200) throw new Error(`GET /event was answered with ${response.statusCode}.`);
      yield* parseEvents(response);
    },
  };
}

/** Server-sent events, one line of data each. A lost connection is an end like any other. */
async function* parseEvents(response: AsyncIterable<Buffer>): AsyncGenerator<JsonFields> {
  const splitter = createLineSplitter(MAX_EVENT_BYTES);
  try {
    for await (const chunk of response) {
      for (const { text, truncated } of splitter.push(chunk)) {
        const event = text.startsWith('data:') && !truncated ? parseFields(text.slice('data:'.length)) : null;
        if (event) yield event;
      }
    }
  } catch (error) {
    if (!LOST.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('An answer of OpenCode is too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** An unknown route is answered with a page. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
