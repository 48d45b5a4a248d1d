/** What probes ask of every process: does it live, and can it serve? Errors are RFC 9457 problems. */
import { Hono } from 'hono';
import { problem } from './problem.ts';

export interface FailingCheck {
  readonly name: 'draining' | 'database' | 'migrations' | 'events' | 'runtime' | 'server';
  readonly detail: string;
}

/** `failingCheck`: the first that fails; null when all is well. */
export function createProbes(failingCheck: () => Promise<FailingCheck | null>): Hono {
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
  app.notFound((context) => problem({ status: 404, detail: `There is nothing at ${context.req.path}.` }));
  return app;
}
