/** What probes and Prometheus ask, the same of every process. Errors are RFC 9457 problems. */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { isTransient } from '../database/transient.ts';
import { RateLimitedError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { problem } from './problem.ts';
import { createReadiness, type ReadinessOptions } from './readiness.ts';
import { type SendMetricsDeps, sendMetrics } from './send-metrics.ts';

export interface HealthDeps extends SendMetricsDeps {
  readonly orchestrator: Orchestrator;
}

export async function createHealthRoutes(deps: HealthDeps, readiness?: ReadinessOptions): Promise<Hono> {
  const { orchestrator } = deps;
  const failingCheck = await createReadiness(orchestrator, readiness);
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.res.headers.set('x-content-type-options', 'nosniff');
  });
  app.get('/healthz', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', async (context) => {
    const failing = await failingCheck();
    if (failing === null) return context.json({ status: 'ready' });
    return problem({ status: 503, detail: failing.detail, members: { check: failing.name } });
  });
  app.get('/metrics', (context) => sendMetrics(deps, context));
  app.notFound((context) => problem({ status: 404, detail: `There is nothing at ${context.req.path}.` }));
  app.onError((error) => answerDefect(orchestrator, error));
  return app;
}

function answerDefect({ logger, telemetry }: Orchestrator, error: Error): Response {
  if (error instanceof RateLimitedError) {
    return problem({ status: 429, detail: error.message, headers: { 'retry-after': String(error.retryAfter) } });
  }
  if (isTransient(error)) {
    const detail = 'The database cannot be reached at the moment. Try again.';
    return problem({ status: 503, detail, headers: { 'retry-after': '2' } });
  }
  const errorId = randomUUID();
  telemetry.systemError('api');
  logger.error({ errorId, err: error }, 'unexpected error in a request');
  return problem({ status: 500, detail: 'The log has it under the errorId.', members: { errorId } });
}
