import { Socket } from 'node:net';
import pg from 'pg';

export interface BreakableClient {
  readonly client: pg.Client;
  /** Whatever is on its way fails, a `connect` too. May be called at any time, and twice. */
  breakOff(): void;
}

/**
 * A client with a socket of ours. Its own `end` does not do: it waits for the server's goodbye, for ever if the network is
 * silent, and called during `connect` it leaves that promise open for ever.
 */
export function breakableClient(settings: pg.ClientConfig): BreakableClient {
  const socket = new Socket();
  const client = new pg.Client({ ...settings, stream: () => socket });
  client.on('error', () => {});
  return { client, breakOff: () => void socket.destroy() };
}
