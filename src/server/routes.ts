/** Everything of the API that is not GraphQL: a door, health checks, metrics, artifacts, remote workers. */
import type { Hono } from 'hono';
import { cors } from 'hono/cors';
import { GRAPHQL_PATH } from './graphql.ts';
import { createHealthRoutes, type HealthDeps } from './health-routes.ts';
import { type SendArtifactDeps, sendArtifact } from './send-artifact.ts';
import { addWorkerRoutes, type WorkerRoutesDeps } from './worker-routes.ts';

export async function createRoutes(
  deps: SendArtifactDeps & HealthDeps & WorkerRoutesDeps,
  draining?: AbortSignal,
): Promise<Hono> {
  const { orchestrator } = deps;
  const app = await createHealthRoutes(deps, { draining });
  app.get('/', (context) =>
    orchestrator.config.graphiql
      ? context.redirect(GRAPHQL_PATH)
      : context.text(`Slipway is running. Its API is GraphQL: POST ${GRAPHQL_PATH}\n`),
  );
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
  addWorkerRoutes(app, deps);
  return app;
}
