/** The figures of the installation, for a program that scrapes them. */
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { METRICS_COST } from '../../schema/limits.ts';
import { can } from '../auth/viewer.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Authenticator } from './authenticator.ts';
import { problem, unauthenticated } from './problem.ts';
import type { RateLimits } from './rate-limits.ts';

export interface SendMetricsDeps {
  readonly authenticator: Authenticator;
  /** Null where nothing is limited. */
  readonly rateLimits: RateLimits | null;
  readonly metrics: Metrics;
}

/** Answers GET of `/metrics`: 200, 401, 403 or 429. They are of all projects, so a token of some may not see them. */
export async function sendMetrics(deps: SendMetricsDeps, { req, env }: Context): Promise<Response> {
  const { authenticator, rateLimits, metrics } = deps;
  const address = (env as HttpBindings).incoming.socket.remoteAddress;
  const viewer = await authenticator.identify({ authorization: req.header('authorization'), address });
  if (!viewer) return unauthenticated();
  await rateLimits?.spend(viewer.tokenId, METRICS_COST);
  if (!can(viewer, 'stats:read') || viewer.projectIds !== null) {
    return problem({ status: 403, detail: 'This needs a token of all projects with the scope stats:read.' });
  }
  const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' };
  return new Response(await metrics.collect(), { headers });
}
