/** Everything of the API that is not GraphQL: a door, health checks, metrics, artifacts, workers that enrol, REST. */
import type { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { cors } from 'hono/cors';
import { type EnrolWorkerDeps, enrolWorker, MAX_ENROLMENT_BYTES } from './enrol-worker.ts';
import { GRAPHQL_PATH } from './graphql.ts';
import { createHealthRoutes, type HealthDeps } from './health-routes.ts';
import { problem } from './problem.ts';
import type { RestDeps } from './rest/endpoint.ts';
import { createRestRoutes } from './rest/rest-routes.ts';
import { type SendArtifactDeps, sendArtifact } from './send-artifact.ts';

export async function createRoutes(
  deps: SendArtifactDeps & HealthDeps & EnrolWorkerDeps & RestDeps,
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
  const tooLarge = () => problem({ status: 413, detail: `Send at most ${MAX_ENROLMENT_BYTES} bytes.` });
  app.post('/workers/enrol', bodyLimit({ maxSize: MAX_ENROLMENT_BYTES, onError: tooLarge }), (context) =>
    enrolWorker(deps, context),
  );
  app.route('/', createRestRoutes(deps));
  return app;
}
