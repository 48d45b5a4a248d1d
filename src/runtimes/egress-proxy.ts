/**
 * The proxy of one run: the only way out of its sandbox, by CONNECT and plain HTTP. It asks the list first, resolves
 * names itself, and connects to the very addresses that it has judged.
 */
import type { LookupAddress } from 'node:dns';
import { lookup as systemLookup } from 'node:dns/promises';
import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import { connect, type LookupFunction } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import { matchHost } from '../std/network-access.ts';
import { addressDenied } from '../std/outbound-url.ts';

export interface EgressRules {
  /** Patterns; see `matchHost`. */
  readonly hosts: readonly string[];
  /** Patterns of what the operator has configured: also names that stand for private addresses. */
  readonly trusted: readonly string[];
}

export interface EgressOptions {
  readonly rules: EgressRules;
  /** Path of the socket, at most 107 bytes. */
  readonly socket: string;
  /** Called for every refusal, with one sentence; the host in it is as the client wrote it, cut and printable. */
  readonly onRefused: (message: string) => void;
  /** In place of the system's. */
  readonly lookup?: (host: string, options: { readonly all: true }) => Promise<LookupAddress[]>;
}

const MAX_CONNECTIONS = 256;
const MAX_HEADER_BYTES = 64 * 1024;
const MAX_SHOWN_HOST = 200;
const CONNECT_TIMEOUT_MS = 30_000;
const AUTHORITY = /^(\[[^\]]+\]|[^:@]+):(\d{1,5})$/;

/** They are between two neighbours, not for the server. */
const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade'],
]);

/** May be connected to, and where. */
interface Target {
  readonly host: string;
  readonly port: number;
  /** Gives the addresses that were judged, whatever the name stands for by then. */
  readonly lookup: LookupFunction;
}

class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly status: 400 | 403 | 502;

  constructor(status: RefusedError['status'], message: string) {
    super(message);
    this.status = status;
  }
}

/** Listens until it is closed. */
export async function openEgressProxy(options: EgressOptions): Promise<AsyncDisposable> {
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    forward(options, request, response).catch((error: unknown) => {
      const { status, message } = refusal(error);
      if (!response.headersSent) response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' });
      response.end(`${message}\n`);
    });
  });
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    client.on('error', () => client.destroy());
    tunnel(options, { request, client, head }).catch((error: unknown) => {
      const { status, message } = refusal(error);
      client.end(`HTTP/1.1 ${status} Refused\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n${message}\n`);
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((listening, failed) => {
    server.once('error', failed).listen(options.socket, () => listening());
  });
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

async function tunnel(
  options: EgressOptions,
  { request, client, head }: { readonly request: IncomingMessage; readonly client: Duplex; readonly head: Buffer },
): Promise<void> {
  const [, host = '', port = ''] = AUTHORITY.exec(request.url ?? '') ?? [];
  const target = await admit(options, host, Number(port));
  const server = connect({ ...target, timeout: CONNECT_TIMEOUT_MS });
  await new Promise<void>((connected, failed) => {
    server.once('connect', connected).once('error', failed);
    server.once('timeout', () => failed(new RefusedError(502, `${host} does not answer.`)));
    client.once('close', () => failed(new RefusedError(502, 'The client is gone.')));
  }).catch((error: unknown) => {
    server.destroy();
    throw error;
  });
  server.setTimeout(0);
  client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  server.write(head);
  // Either end of one ends the other; what went wrong between them is theirs to find out.
  pipeline(client, server, client, () => {});
}

async function forward(options: EgressOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = URL.parse(request.url ?? '');
  if (url?.protocol !== 'http:') throw new RefusedError(400, 'Only http URLs are forwarded; https goes by CONNECT.');
  const target = await admit(options, url.hostname, Number(url.port || 80));
  const headers = endToEnd(request, url.host);
  const path = `${url.pathname}${url.search}`;
  const outgoing = send({
    ...target,
    path,
    headers,
    method: request.method,
    agent: false,
    timeout: CONNECT_TIMEOUT_MS,
  });
  response.once('close', () => outgoing.destroy());
  // It counts silence, too: an answer may take its time once the connection stands.
  outgoing.once('socket', (socket) => socket.once('connect', () => outgoing.setTimeout(0)));
  outgoing.once('timeout', () => outgoing.destroy(new RefusedError(502, `${url.host} does not answer.`)));
  const answer = await new Promise<IncomingMessage>((answered, failed) => {
    outgoing.once('response', answered).once('error', failed);
    pipeline(request, outgoing, () => {});
  });
  response.writeHead(answer.statusCode ?? 502, endToEnd(answer, null));
  pipeline(answer, response, () => {});
}

/** The headers for the other side. The host is that of the URL, which was judged, whatever the client said besides. */
function endToEnd(message: IncomingMessage, host: string | null): Record<string, string | string[]> {
  const named = (message.headers.connection ?? '').toLowerCase().split(/\s*,\s*/);
  const kept = Object.entries(message.headersDistinct).filter(
    ([name]) => !HOP_BY_HOP.has(name) && !named.includes(name) && !(name === 'host' && host !== null),
  );
  const isChunked = message.headers['transfer-encoding'] !== undefined && host !== null;
  return {
    ...(Object.fromEntries(kept) as Record<string, string[]>),
    ...(host === null ? {} : { host }),
    ...(isChunked ? { 'transfer-encoding': 'chunked' } : {}),
  };
}

async function admit(options: EgressOptions, asked: string, port: number): Promise<Target> {
  const { rules, lookup = systemLookup } = options;
  const host = asked.replace(/^\[(.*)\]$/, '$1');
  const match = matchHost(rules.trusted, host, port) === null ? matchHost(rules.hosts, host, port) : 'address';
  const refuse = (why: string) => {
    const shown = `${asked}:${port}`.slice(0, MAX_SHOWN_HOST).replaceAll(/[^\x20-\x7e]/g, '?');
    const message = `No connection to ${shown}: ${why}`;
    options.onRefused(message);
    return new RefusedError(403, message);
  };
  if (match === null) throw refuse('it is not among the hosts that this build may reach.');
  const addresses = await lookup(host, { all: true });
  if (match === 'name' && addresses.some(({ address }) => addressDenied(address))) {
    throw refuse('the name stands for a private address. List the address itself to allow it.');
  }
  return {
    host,
    port,
    lookup(_host, { all }, done) {
      const [first] = addresses;
      if (!first) done(new Error(`The host ${host} has no address.`), '', 4);
      else if (all) done(null, addresses);
      else done(null, first.address, first.family);
    },
  };
}

function refusal(error: unknown): { readonly status: number; readonly message: string } {
  if (error instanceof RefusedError) return error;
  const { code } = error as { code?: unknown };
  return { status: 502, message: `There is no connection: ${typeof code === 'string' ? code : 'it failed'}.` };
}
