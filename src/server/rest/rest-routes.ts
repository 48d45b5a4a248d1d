/** The REST API: every route is a GraphQL operation, executed with the same rights, limits and audit log. */
import type { HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { parseTraceparent } from '../../telemetry/trace-ids.ts';
import { withScope } from '../../telemetry/trace-scope.ts';
import { isAllowedOrigin } from '../origin.ts';
import { answerCall } from './answer-call.ts';
import { BUILD_ENDPOINTS } from './build-endpoints.ts';
import type { Endpoint, RestDeps } from './endpoint.ts';
import { createDocumentation } from './openapi.ts';
import { Refusal } from './refusal.ts';
import { WORK_ENDPOINTS } from './work-endpoints.ts';

export const ENDPOINTS: readonly Endpoint[] = [...BUILD_ENDPOINTS, ...WORK_ENDPOINTS];

const OPENAPI_PATH = '/openapi.json';
/** Below these everything is REST: also what there is not. */
const ROOTS = ['/projects', '/builds', '/work'];

const EXPOSED_HEADERS = [
  ...['deprecation', 'etag', 'link', 'location', 'preference-applied'],
  ...['ratelimit', 'ratelimit-policy', 'retry-after'],
];

export function createRestRoutes(deps: RestDeps): Hono {
  const { allowedOrigins } = deps.orchestrator.config;
  const app = new Hono();
  if (allowedOrigins.length > 0) {
    const allowed = cors({
      origin: [...allowedOrigins],
      allowMethods: ['GET', 'HEAD', 'POST'],
      allowHeaders: ['authorization', 'content-type', 'idempotency-key', 'if-none-match', 'prefer'],
      exposeHeaders: EXPOSED_HEADERS,
      maxAge: 600,
    });
    for (const root of [...ROOTS, OPENAPI_PATH]) app.use(`${root}/*`, allowed);
  }
  const documentation = createDocumentation(deps.schema, ENDPOINTS);
  app.get(OPENAPI_PATH, async (context) => {
    context.header('cache-control', 'no-cache');
    return context.json(await documentation());
  });
  for (const endpoint of ENDPOINTS) {
    const { method, path, changes } = endpoint;
    app.on(method.toUpperCase(), honoPath(path), (context) => {
      const isOther = changes && context.req.method === 'HEAD';
      const work = () => (isOther ? otherMethod(path) : answerCall(deps, endpoint, context));
      return guarded(deps, context, { name: path, work });
    });
  }
  for (const path of new Set(ENDPOINTS.map((endpoint) => endpoint.path))) {
    app.all(honoPath(path), (context) => guarded(deps, context, { name: path, work: () => otherMethod(path) }));
  }
  for (const root of ROOTS) {
    app.all(`${root}/*`, (context) => guarded(deps, context, { name: root, work: () => nothingThere(context) }));
  }
  return app;
}

function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

async function otherMethod(path: string): Promise<never> {
  const here = ENDPOINTS.filter((endpoint) => endpoint.path === path);
  const methods = here.map(({ method }) => method.toUpperCase());
  const allow = here.some(({ method, changes }) => method === 'get' && !changes) ? ['HEAD', ...methods] : methods;
  const headers = { allow: allow.join(', ') };
  throw new Refusal(405, 'METHOD_NOT_ALLOWED', `This takes ${methods.join(' and ')} only.`, { headers });
}

async function nothingThere({ req }: Context): Promise<never> {
  throw new Refusal(404, 'NOT_FOUND', `There is nothing at ${req.path.slice(0, 200)}.`);
}

interface Guarded {
  readonly name: string;
  readonly work: () => Promise<Response>;
}

/** A span around the work, and a problem for whatever it throws. Answers hold secrets: nothing is kept on the way. */
async function guarded(
  { orchestrator, operations }: RestDeps,
  context: Context,
  { name, work }: Guarded,
): Promise<Response> {
  const { method } = context.req;
  const attributes = { 'http.request.method': method.slice(0, 20), 'http.route': name };
  const parent = parseTraceparent(context.req.header('traceparent'));
  const span = { name: 'REST request', kind: 'server', parent, attributes } as const;
  return withScope({ tracing: orchestrator.telemetry.tracing, span }, async (scope) => {
    const response = await refuseOrigin(orchestrator.config.allowedOrigins, context)
      .then(work)
      .catch((error: unknown) => {
        const refusal = error instanceof Refusal ? error : Refusal.of(operations.mask(error));
        if (refusal.status >= 500) scope.fail(refusal.code);
        return refusal.toResponse();
      });
    if (!response.headers.has('cache-control')) response.headers.set('cache-control', 'no-store');
    return response;
  });
}

async function refuseOrigin(allowedOrigins: readonly string[], { env }: Context): Promise<void> {
  const { headers } = (env as HttpBindings).incoming;
  if (isAllowedOrigin(headers, allowedOrigins)) return;
  throw new Refusal(403, 'ORIGIN_NOT_ALLOWED', 'Pages of this origin may not call the API.');
}
