/** Health checks and metrics of a process that only runs builds, on a port of their own. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Orchestrator } from '../orchestrator.ts';
import { AddressLimits } from './address-limits.ts';
import { Authenticator } from './authenticator.ts';
import { createHealthRoutes } from './health-routes.ts';
import { hostInUrl, listen } from './listen.ts';
import { openMetrics } from './open-metrics.ts';

/** Probes and Prometheus are few. */
const MAX_CONNECTIONS = 64;
const RECEIVE_TIMEOUT_MS = 5_000;

export interface HealthServerOptions {
  readonly orchestrator: Orchestrator;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Aborts when this process is about to end: it is not ready from then on. */
  readonly draining: AbortSignal;
}

export interface HealthServer extends AsyncDisposable {
  /** `http://127.0.0.1:4401`, without a slash at the end. */
  readonly url: string;
}

/** Rejects with the system's error (EADDRINUSE, EACCES) when the port cannot be opened. */
export async function openHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { orchestrator, host, port, draining } = options;
  await using opened = new AsyncDisposableStack();
  const metrics = opened.use(openMetrics(orchestrator));
  const limits = new AddressLimits({ perMinute: orchestrator.config.refusedPerMinute });
  const authenticator = new Authenticator(orchestrator.db, limits);
  const deps = { orchestrator, authenticator, metrics, rateLimits: null };
  const routes = await createHealthRoutes(deps, { draining, runsBuilds: true });
  const settings = { headersTimeout: RECEIVE_TIMEOUT_MS, requestTimeout: RECEIVE_TIMEOUT_MS };
  const server = createServer(settings, getRequestListener(routes.fetch, { overrideGlobalObjects: false }));
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, port, host);
  opened.defer(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  const resources = opened.move();
  return {
    url: `http://${hostInUrl(host)}:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
