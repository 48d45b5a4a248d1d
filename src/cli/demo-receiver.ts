/** What a bot would run: an HTTP server that takes callbacks. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface ReceivedCallback {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface CallbackReceiver extends AsyncDisposable {
  readonly url: string;
  /** The first one; rejects when `signal` aborts before it comes. */
  received(signal: AbortSignal): Promise<ReceivedCallback>;
}

export async function openCallbackReceiver(): Promise<CallbackReceiver> {
  const first = Promise.withResolvers<ReceivedCallback>();
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        first.resolve({ body, headers: headersOf(request) });
        response.writeHead(204).end();
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/callback`,
    received: (signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        first.promise.then(resolve, reject);
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
