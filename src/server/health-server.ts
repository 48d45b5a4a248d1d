/** Health checks and metrics of a process that only runs builds, on a port of their own. */
import type { Orchestrator } from '../orchestrator.ts';
import { AddressLimits } from './address-limits.ts';
import { Authenticator } from './authenticator.ts';
import { createHealthRoutes } from './health-routes.ts';
import { openMetrics } from './open-metrics.ts';
import { type HealthServer, openProbeServer } from './probe-server.ts';

export interface HealthServerOptions {
  readonly orchestrator: Orchestrator;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Aborts when this process is about to end: it is not ready from then on. */
  readonly draining: AbortSignal;
}

/** Rejects with the system's error (EADDRINUSE, EACCES) when the port cannot be opened. */
export async function openHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { orchestrator, draining } = options;
  await using opened = new AsyncDisposableStack();
  const metrics = opened.use(openMetrics(orchestrator));
  const limits = new AddressLimits({ perMinute: orchestrator.config.refusedPerMinute });
  const authenticator = new Authenticator(orchestrator.db, limits);
  const deps = { orchestrator, authenticator, metrics, rateLimits: null };
  const server = opened.use(
    await openProbeServer(await createHealthRoutes(deps, { draining, runsBuilds: true }), options),
  );
  const resources = opened.move();
  return { url: server.url, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
