/** A port for probes and Prometheus alone, of a process that has no API. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { hostInUrl, listen } from './listen.ts';

/** Probes and Prometheus are few. */
const MAX_CONNECTIONS = 64;
const RECEIVE_TIMEOUT_MS = 5_000;

export interface HealthServer extends AsyncDisposable {
  /** `http://127.0.0.1:4401`, without a slash at the end. */
  readonly url: string;
}

/** `port`: 0 takes a free one. Rejects with the system's error (EADDRINUSE, EACCES) when it cannot be opened. */
export async function openProbeServer(
  routes: Hono,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<HealthServer> {
  const settings = { headersTimeout: RECEIVE_TIMEOUT_MS, requestTimeout: RECEIVE_TIMEOUT_MS };
  const server = createServer(settings, getRequestListener(routes.fetch, { overrideGlobalObjects: false }));
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, port, host);
  return {
    url: `http://${hostInUrl(host)}:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
