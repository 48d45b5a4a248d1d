/** The limit: a WebSocket server that knows what to send, and sends it to everybody. */
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { collected } from './memory.ts';

export async function main({ text }: { readonly text: string }) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  const bytes = Buffer.from(text);
  return {
    about: () => ({ port: (server.address() as AddressInfo).port }),
    emit(count: number) {
      for (let sent = 0; sent < count; sent += 1) {
        for (const client of server.clients) client.send(bytes, { binary: false });
      }
    },
    cpu: () => process.cpuUsage(),
    open: () => server.clients.size,
    memory: collected,
    close() {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}
