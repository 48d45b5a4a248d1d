/** A bare WebSocket that speaks what the test says, right or wrong. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { waitFor } from '../support/wait-for.ts';

interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

export interface ProtocolSocket {
  readonly socket: WebSocket;
  /** The messages that have arrived and were not yet received. */
  readonly inbox: readonly Message[];
  send(message: unknown): void;
  /** The next message. */
  receive(): Promise<Message>;
  /** The close frame of the server. */
  closed(): Promise<{ readonly code: number; readonly reason: string }>;
}

export interface SocketOptions {
  readonly protocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** Resolves when the handshake is done; rejects with the server's status when it refuses. */
export async function openSocket(
  url: string,
  { protocols = ['graphql-transport-ws'], headers = {} }: SocketOptions = {},
): Promise<ProtocolSocket> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), [...protocols], { headers });
  const inbox: Message[] = [];
  let close: { code: number; reason: string } | null = null;
  socket.on('message', (data) => inbox.push(JSON.parse(String(data)) as Message));
  socket.on('close', (code, reason) => {
    close = { code, reason: String(reason) };
  });
  await once(socket, 'open');
  socket.on('error', () => {});
  return {
    socket,
    inbox,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    async receive() {
      await waitFor(() => inbox.length > 0 || close, { what: 'a message' });
      const message = inbox.shift();
      if (!message) throw new Error(`the socket was closed: ${close?.code} ${close?.reason}`);
      return message;
    },
    closed: () => waitFor(() => close, { what: 'the close of the socket' }),
  };
}
