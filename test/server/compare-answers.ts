/** A door to two servers: it sends each request to both, keeps where their answers differ, and passes on the first. */
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ComparedRequest {
  readonly method?: string;
  readonly path?: string;
  /** Name, value, name, value … as they are sent. */
  readonly headers: readonly string[];
  /** Sent one after the other, and not together. */
  readonly body: readonly (string | Buffer)[];
}

export interface Comparison extends AsyncDisposable {
  /** `http://127.0.0.1:1234` */
  readonly origin: string;
  /** Requests so far. */
  readonly count: number;
  /** Both answers of the first requests that were answered differently. */
  readonly differences: readonly Difference[];
  /** Both answers, as bytes but for what is random. */
  send(sent: ComparedRequest): Promise<Difference>;
}

export interface Difference {
  readonly sent: string;
  readonly first: string;
  readonly second: string;
}

const MAX_DIFFERENCES = 5;

export async function openComparison(first: string, second: string): Promise<Comparison> {
  const differences: Difference[] = [];
  let count = 0;

  async function compare(sent: ComparedRequest) {
    count += 1;
    const answer = await answerOf(first, sent);
    const other = await answerOf(second, sent);
    const compared = { sent: describe(sent), first: textOf(answer), second: textOf(other) };
    if (compared.first !== compared.second && differences.length < MAX_DIFFERENCES) differences.push(compared);
    return { answer, compared };
  }

  const door = createServer(async (incoming, outgoing) => {
    const body = await incoming.toArray();
    const { method = 'GET', url = '/', rawHeaders } = incoming;
    const { answer } = await compare({ method, path: url, headers: rawHeaders, body });
    outgoing.writeHead(answer.status, answer.headers as string[]).end(answer.body);
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(door.address() as AddressInfo).port}`,
    get count() {
      return count;
    },
    differences,
    send: async (sent) => (await compare(sent)).compared,
    async [Symbol.asyncDispose]() {
      door.closeAllConnections();
      await new Promise((resolve) => door.close(resolve));
    },
  };
}

interface RawAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

function answerOf(origin: string, { method = 'POST', path = '/graphql', headers, body }: ComparedRequest) {
  return new Promise<RawAnswer>((resolve, reject) => {
    const { hostname, port } = new URL(origin);
    const sending = request({ hostname, port, method, path, headers: [...headers], agent: false });
    sending.on('response', async (response: IncomingMessage) => {
      const { statusCode = 0, statusMessage = '', rawHeaders } = response;
      // Whoever is refused before the end of the body may be cut.
      const parts: Buffer[] = [];
      response.on('data', (part) => parts.push(part));
      response.on('close', () =>
        resolve({ status: statusCode, statusText: statusMessage, headers: rawHeaders, body: Buffer.concat(parts) }),
      );
    });
    sending.on('error', reject);
    void sendParts(sending, body);
  });
}

async function sendParts(sending: ReturnType<typeof request>, parts: ComparedRequest['body']): Promise<void> {
  sending.flushHeaders();
  for (const part of parts) {
    if (sending.destroyed) return;
    await new Promise((resolve) => setImmediate(resolve));
    sending.write(part);
  }
  sending.end();
}

/** Without what two answers never share: the time, and ids that are made for one answer. */
function textOf({ status, statusText, headers, body }: RawAnswer): string {
  const lines = headers.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[at + 1]}`] : []));
  const kept = lines.map((line) => line.replace(/^Date: .*/, 'Date: …'));
  const text = body.toString('latin1').replace(/"(errorId|traceId|resetAt)":"[^"]*"/g, '"$1":"…"');
  return [`${status} ${statusText}`, ...kept, '', text].join('\n');
}

function describe({ method = 'POST', path = '', headers, body }: ComparedRequest): string {
  return `${method} ${path} ${JSON.stringify(headers)} ${Buffer.concat(body.map((part) => Buffer.from(part))).toString('utf8', 0, 500)}`;
}
