/** Everything that is not GraphQL: a door, health checks, metrics, artifacts. Errors are RFC 9457 problems. */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { isTransient } from '../database/transient.ts';
import { RateLimitedError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { GRAPHQL_PATH } from './graphql.ts';
import { problem } from './problem.ts';
import { createReadiness } from './readiness.ts';
import { type SendArtifactDeps, sendArtifact } from './send-artifact.ts';
import { type SendMetricsDeps, sendMetrics } from './send-metrics.ts';

export async function createRoutes(deps: SendArtifactDeps & SendMetricsDeps, draining?: AbortSignal): Promise<Hono> {
  const { orchestrator } = deps;
  const failingCheck = await createReadiness(orchestrator, draining);
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.res.headers.set('x-content-type-options', 'nosniff');
  });
  app.get('/', (context) =>
    orchestrator.config.graphiql
      ? context.redirect(GRAPHQL_PATH)
      : context.text(`Slipway is running. Its API is GraphQL: POST ${GRAPHQL_PATH}\n`),
  );
  app.get('/healthz', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', async (context) => {
    const failing = await failingCheck();
    if (failing === null) return context.json({ status: 'ready' });
    return problem({ status: 503, detail: failing.detail, members: { check: failing.name } });
  });
  app.get('/metrics', (context) => sendMetrics(deps, context));
  const { allowedOrigins } = orchestrator.config;
  if (allowedOrigins.length > 0) {
    app.use(
      '/artifacts/*',
      cors({
        origin: [...allowedOrigins],
        allowMethods: ['GET', 'HEAD'],
        allowHeaders: ['authorization', 'range', 'if-none-match', 'if-range'],
        exposeHeaders: ['accept-ranges', 'content-disposition', 'content-range', 'etag', 'retry-after'],
        maxAge: 600,
      }),
    );
  }
  app.get('/artifacts/:id', (context) => sendArtifact(deps, context));
  app.notFound((context) => problem({ status: 404, detail: `There is nothing at ${context.req.path}.` }));
  app.onError((error) => answerDefect(orchestrator, error));
  return app;
}

function answerDefect({ logger }: Orchestrator, error: Error): Response {
  if (error instanceof RateLimitedError) {
    return problem({ status: 429, detail: error.message, headers: { 'retry-after': String(error.retryAfter) } });
  }
  if (isTransient(error)) {
    const detail = 'The database cannot be reached at the moment. Try again.';
    return problem({ status: 503, detail, headers: { 'retry-after': '2' } });
  }
  const errorId = randomUUID();
  logger.error({ errorId, err: error }, 'unexpected error in a request');
  return problem({ status: 500, detail: 'The log has it under the errorId.', members: { errorId } });
}
