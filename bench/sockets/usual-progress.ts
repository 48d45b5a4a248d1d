/** How everybody would write it: LISTEN, a SELECT for each notification, and graphql-ws, which executes per subscriber. */
import { EventEmitter, on } from 'node:events';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { useServer } from 'graphql-ws/use/ws';
import pg from 'pg';
import { WebSocketServer } from 'ws';

// The product's own, as graphql-ws uses it; the bench has another one for its peers.
const { buildSchema } = createRequire(new URL('../../package.json', import.meta.url))('graphql');

const SCHEMA = `
  type Progress { seq: Int! type: String! at: String! message: String! }
  type Query { hello: String }
  type Subscription { progress: Progress! }`;

export async function main({ databaseUrl }: { readonly databaseUrl: string }) {
  const pool = new pg.Pool({ connectionString: databaseUrl });
  await pool.query(`create table progress (
    seq int primary key generated always as identity, type text not null default 'PROGRESS',
    at timestamptz not null default now(), message text not null)`);
  const listener = new pg.Client({ connectionString: databaseUrl });
  await listener.connect();
  await listener.query('listen progress');
  const events = new EventEmitter().setMaxListeners(0);
  listener.on('notification', async ({ payload }) => {
    const { rows } = await pool.query('select seq, type, at::text, message from progress where seq = $1', [payload]);
    events.emit('progress', rows[0]);
  });
  async function* progress() {
    for await (const [row] of on(events, 'progress')) yield { progress: row };
  }
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  useServer({ schema: buildSchema(SCHEMA), roots: { subscription: { progress } } }, server);
  return {
    about: () => ({ port: (server.address() as AddressInfo).port }),
    async close() {
      for (const client of server.clients) client.terminate();
      server.close();
      await listener.end();
      await pool.end();
    },
  };
}
