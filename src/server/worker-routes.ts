/** The door of remote workers: a token with the scope `work`, for workers that it has registered and builds that are theirs. */
import type { IncomingMessage } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import type { Context, Hono } from 'hono';
import { validate as isUuid } from 'uuid';
import { can, type Viewer } from '../auth/viewer.ts';
import { RateLimitedError, SupersededError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { isRequestName, requests, WORKER_PATH } from '../remote/protocol.ts';
import { toWire } from '../remote/wire.ts';
import type { Authenticator } from './authenticator.ts';
import { problem, unauthenticated } from './problem.ts';
import { TokenCounter } from './token-counter.ts';
import { WorkerAttempts } from './worker-attempts.ts';
import { readJson } from './worker-body.ts';
import type { WorkerCall } from './worker-call.ts';
import type { WorkerHints } from './worker-hints.ts';
import { WorkerProblem } from './worker-problem.ts';
import { refuseOthers, workerRequests } from './worker-requests.ts';

/** Of one token at the same time: each build of its workers has one or two open, each worker three. */
const MAX_REQUESTS = 1_000;

export interface WorkerRoutesDeps {
  readonly orchestrator: Orchestrator;
  readonly authenticator: Authenticator;
  readonly hints: WorkerHints;
}

type Answer = (viewer: Viewer, incoming: IncomingMessage) => Promise<unknown>;

/** These requests are not counted against a token's rate limit: a worker that must wait loses its builds. */
export function addWorkerRoutes(app: Hono, deps: WorkerRoutesDeps): void {
  const { orchestrator } = deps;
  const attempts = new WorkerAttempts(orchestrator);
  const open = new TokenCounter(MAX_REQUESTS);
  const serve = (context: Context, answer: Answer) => admit(deps, { context, open, answer });
  const handlers = workerRequests(orchestrator, deps.hints);

  app.post(`${WORKER_PATH}/workers/:worker/:request`, (context) =>
    serve(context, async (viewer, incoming) => {
      const request = context.req.param('request');
      const workerId = uuidOf(context, 'worker');
      if (!isRequestName(request)) throw new WorkerProblem(404, 'No such request.');
      const body = await readJson(incoming, requests[request]);
      if (request !== 'register') await refuseOthers(orchestrator, viewer, workerId);
      const handle = handlers[request] as (call: WorkerCall, body: unknown) => Promise<unknown>;
      return handle({ viewer, workerId, gone: context.req.raw.signal }, body);
    }),
  );
  const attemptPath = `${WORKER_PATH}/workers/:worker/builds/:build/attempts/:attempt`;
  app.post(`${attemptPath}/entries/:number/:type`, (context) =>
    serve(context, (viewer, incoming) =>
      attempts.commit(viewer, pathOf(context), {
        number: Number(context.req.param('number')),
        type: context.req.param('type') ?? '',
        incoming,
      }),
    ),
  );
  app.post(`${attemptPath}/last-number`, (context) =>
    serve(context, (viewer) => attempts.lastNumber(viewer, pathOf(context))),
  );
  app.post(`${attemptPath}/questions/:question`, (context) =>
    serve(context, (viewer, incoming) =>
      attempts.ask(viewer, pathOf(context), { question: context.req.param('question') ?? '', incoming }),
    ),
  );
  app.put(`${attemptPath}/uploads/:upload`, (context) =>
    serve(context, (viewer, incoming) =>
      attempts.upload(viewer, pathOf(context), {
        id: uuidOf(context, 'upload'),
        offset: Number(context.req.query('offset')),
        incoming,
      }),
    ),
  );
}

interface Admission {
  readonly context: Context;
  readonly open: TokenCounter;
  readonly answer: Answer;
}

/** What is answered may be a secret: it is kept nowhere on the way. */
async function admit({ authenticator }: WorkerRoutesDeps, { context, open, answer }: Admission): Promise<Response> {
  const { incoming } = context.env as HttpBindings;
  const address = incoming.socket.remoteAddress;
  const viewer = await authenticator.identify({ authorization: context.req.header('authorization'), address });
  if (!viewer) return unauthenticated();
  if (!can(viewer, 'work')) return problem({ status: 403, detail: 'This needs a token with the scope work.' });
  const place = open.enter(viewer.tokenId);
  if (!place) throw new RateLimitedError(1);
  try {
    const body = toWire(await answer(viewer, incoming));
    return Response.json(body, { headers: { 'cache-control': 'no-store' } });
  } catch (error) {
    if (error instanceof WorkerProblem) return problem({ status: error.status, detail: error.message });
    if (!(error instanceof SupersededError)) throw error;
    return problem({ status: 409, detail: error.message, members: { code: 'SUPERSEDED' } });
  } finally {
    place.leave();
  }
}

function pathOf(context: Context) {
  const attemptNo = Number(context.req.param('attempt'));
  if (!Number.isSafeInteger(attemptNo) || attemptNo < 1 || attemptNo > 2 ** 31 - 1) {
    throw new WorkerProblem(404, 'There is no such attempt.');
  }
  return { workerId: uuidOf(context, 'worker'), buildId: uuidOf(context, 'build'), attemptNo };
}

function uuidOf(context: Context, name: string): string {
  const text = context.req.param(name) ?? '';
  if (!isUuid(text)) throw new WorkerProblem(404, `This is no id of a ${name}.`);
  return text;
}
