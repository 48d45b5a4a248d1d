/** What probes and Prometheus ask, the same of every process. Errors are RFC 9457 problems. */
import { randomUUID } from 'node:crypto';
import type { Hono } from 'hono';
import { isTransient } from '../database/transient.ts';
import { RateLimitedError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { createProbes } from './probes.ts';
import { problem } from './problem.ts';
import { createReadiness, type ReadinessOptions } from './readiness.ts';
import { type SendMetricsDeps, sendMetrics } from './send-metrics.ts';

export interface HealthDeps extends SendMetricsDeps {
  readonly orchestrator: Orchestrator;
}

export async function createHealthRoutes(deps: HealthDeps, readiness?: ReadinessOptions): Promise<Hono> {
  const { orchestrator } = deps;
  const app = createProbes(await createReadiness(orchestrator, readiness));
  app.get('/metrics', (context) => sendMetrics(deps, context));
  app.onError((error) => answerDefect(orchestrator, error));
  return app;
}

/** What is nobody's fault who asked: the log has it. */
export function answerDefect({ logger, telemetry }: Orchestrator, error: unknown): Response {
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
