/** A collector of traces on loopback: what was sent to it, and the faults of real ones. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty at the root. */
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Of its process. */
  readonly resource: Readonly<Record<string, unknown>>;
  /** 2 is an error. */
  readonly status: number;
  readonly startedAt: bigint;
  readonly endedAt: bigint;
}

export interface CollectorRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The sender has gone away before the end of the answer. */
  isCut: boolean;
}

export interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly CollectorRequest[];
  /** A status to answer with, or `hang`. */
  mode: number | 'hang';
  /** Of the answers; it comes when the sender has their headers. */
  body: Buffer;
  /** How many there have been. */
  readonly connections: () => number;
  /** Of what came as JSON. */
  spans(): readonly CollectedSpan[];
}

/** Of the event loop that sender and collector share: in these the headers of an answer arrive. */
const TURNS = 20;

export async function openCollector(mode: Collector['mode'] = 200): Promise<Collector> {
  const requests: CollectorRequest[] = [];
  let connections = 0;
  const server = createServer(async (request, response) => {
    const { url: path = '', headers } = request;
    const entry = { path, headers, body: await buffer(request), isCut: false };
    requests.push(entry);
    response.once('close', () => {
      entry.isCut = !response.writableFinished;
    });
    if (collector.mode === 'hang') return;
    response.writeHead(collector.mode).flushHeaders();
    for (let turn = 0; turn < TURNS; turn += 1) await new Promise(setImmediate);
    response.end(collector.body);
  });
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const collector: Collector = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    mode,
    body: Buffer.alloc(0),
    connections: () => connections,
    spans: () => requests.filter(({ headers }) => headers['content-type'] === 'application/json').flatMap(readSpans),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return collector;
}

type Pairs = readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];

interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: Pairs;
  readonly status: { readonly code?: number };
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
}

interface SentBatch {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Pairs };
    readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[];
  }[];
}

function readSpans({ body }: CollectorRequest): CollectedSpan[] {
  const { resourceSpans } = JSON.parse(body.toString()) as SentBatch;
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ attributes, status, startTimeUnixNano, endTimeUnixNano, ...span }) => ({
        ...span,
        attributes: toRecord(attributes),
        resource: toRecord(resource.attributes),
        status: status.code ?? 0,
        startedAt: BigInt(startTimeUnixNano),
        endedAt: BigInt(endTimeUnixNano),
      })),
    ),
  );
}

function toRecord(pairs: Pairs): Record<string, unknown> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, Object.values(value)[0]]));
}

/** One line per span, below its parent, in the order of their start. */
export function drawTree(spans: readonly CollectedSpan[], parent: string, depth = 0): string[] {
  return spans
    .filter(({ parentSpanId = '' }) => parentSpanId === parent)
    .sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1))
    .flatMap((span) => [`${'  '.repeat(depth)}${span.name}`, ...drawTree(spans, span.spanId, depth + 1)]);
}
