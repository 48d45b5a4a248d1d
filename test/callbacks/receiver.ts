/** A receiver of callbacks on loopback that answers as a test wants. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo, LookupFunction } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Receiver extends AsyncDisposable {
  /** With the port; loopback stands behind every name that `loopbackLookup` is asked for. */
  readonly port: number;
  readonly url: string;
  readonly received: readonly Received[];
  /** The most that were being answered at the same time. */
  readonly mostAtOnce: () => number;
  /** Connections that are open now. */
  readonly connections: () => Promise<number>;
}

export type Answer = (response: ServerResponse, request: Received) => void;

export interface ReceiverOptions {
  readonly answer?: Answer;
  readonly tls?: ServerOptions;
}

export async function openReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const answer: Answer = options.answer ?? ((response) => response.end('ok'));
  const received: Received[] = [];
  let open = 0;
  let most = 0;
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    open += 1;
    most = Math.max(most, open);
    response.once('close', () => {
      open -= 1;
    });
    const body = await text(request);
    const { method = '', url: path = '', headers } = request;
    const entry = { method, path, headers, body };
    received.push(entry);
    answer(response, entry);
  };
  const listener = (request: IncomingMessage, response: ServerResponse) => void handle(request, response);
  const server = options.tls ? createTlsServer(options.tls, listener) : createServer(listener);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}/callback`,
    received,
    mostAtOnce: () => most,
    connections: () => new Promise((done) => server.getConnections((_error, count) => done(count))),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Resolves every name to these addresses. */
export function lookupTo(...addresses: readonly string[]): LookupFunction {
  return (_hostname, options, done) => {
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    if (options.all) done(null, found);
    else done(null, found[0]?.address ?? '', found[0]?.family);
  };
}
