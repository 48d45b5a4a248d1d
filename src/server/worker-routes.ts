/**
 * The door of remote workers: a token with the scope `work`, for workers that it has registered and builds that are theirs. Their
 * entries come by the hundred a second, so nothing of a fetch API is made for them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { validate as isUuid } from 'uuid';
import { can, type Viewer } from '../auth/viewer.ts';
import { RateLimitedError, SupersededError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { isRequestName, requests, WORKER_PATH } from '../remote/protocol.ts';
import { toWire } from '../remote/wire.ts';
import type { Authenticator } from './authenticator.ts';
import { goneSignal } from './gone-signal.ts';
import { answerDefect } from './health-routes.ts';
import { problem, unauthenticated } from './problem.ts';
import { sendResponse } from './send-response.ts';
import { TokenCounter } from './token-counter.ts';
import { type AttemptPath, WorkerAttempts } from './worker-attempts.ts';
import { readJson } from './worker-body.ts';
import type { WorkerCall } from './worker-call.ts';
import type { WorkerHints } from './worker-hints.ts';
import { WorkerProblem } from './worker-problem.ts';
import { refuseOthers, workerRequests } from './worker-requests.ts';

/** Of one token at the same time: each build of its workers has one or two open, each worker three. */
const MAX_REQUESTS = 1_000;
const WORKERS = `${WORKER_PATH}/workers/`;

export interface WorkerRoutesDeps {
  readonly orchestrator: Orchestrator;
  readonly authenticator: Authenticator;
  readonly hints: WorkerHints;
}

interface Request {
  readonly viewer: Viewer;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
}

type Answer = (request: Request) => Promise<unknown>;

/**
 * Gives a function that answers a request, and null for one that is none of these. They are not counted against a token's rate
 * limit: a worker that must wait loses its builds.
 */
export function createWorkerHandler(deps: WorkerRoutesDeps) {
  const open = new TokenCounter(MAX_REQUESTS);
  const findAnswer = createAnswers(deps);
  return (incoming: IncomingMessage, response: ServerResponse): Promise<void> | null => {
    const answer = incoming.url?.startsWith(WORKERS) ? findAnswer(incoming, incoming.url) : null;
    return answer && admit(deps, { incoming, response, open, answer });
  };
}

function createAnswers({ orchestrator, hints }: WorkerRoutesDeps) {
  const attempts = new WorkerAttempts(orchestrator);
  const handlers = workerRequests(orchestrator, hints);

  function request(worker: string, name: string): Answer {
    return async ({ viewer, incoming, response }) => {
      const workerId = uuidOf('worker', worker);
      if (!isRequestName(name)) throw new WorkerProblem(404, 'No such request.');
      const body = await readJson(incoming, requests[name]);
      if (name !== 'register') await refuseOthers(orchestrator, viewer, workerId);
      const handle = handlers[name] as (call: WorkerCall, body: unknown) => Promise<unknown>;
      return handle({ viewer, workerId, gone: goneSignal(response) }, body);
    };
  }

  function ofAttempt(path: () => AttemptPath, [kind, first = '', second]: readonly string[], query: string) {
    const answers: Readonly<Record<string, Answer>> = {
      'POST entries/2': ({ viewer, incoming }) =>
        attempts.commit(viewer, path(), { number: Number(first), type: second ?? '', incoming }),
      'POST last-number/0': ({ viewer }) => attempts.lastNumber(viewer, path()),
      'POST questions/1': ({ viewer, incoming }) => attempts.ask(viewer, path(), { question: first, incoming }),
      'PUT uploads/1': ({ viewer, incoming }) => {
        const offset = Number(new URLSearchParams(query).get('offset') ?? Number.NaN);
        return attempts.upload(viewer, path(), { id: uuidOf('upload', first), offset, incoming });
      },
    };
    return answers[kind ?? ''] ?? null;
  }

  return ({ method = '' }: IncomingMessage, url: string): Answer | null => {
    const [path = '', query = ''] = url.slice(WORKERS.length).split('?', 2);
    const [worker = '', name = '', build = '', attempts, attempt = '', kind, ...rest] = path.split('/');
    if (build === '') return method === 'POST' && attempts === undefined ? request(worker, name) : null;
    if (name !== 'builds' || attempts !== 'attempts') return null;
    return ofAttempt(() => pathOf({ worker, build, attempt }), [`${method} ${kind}/${rest.length}`, ...rest], query);
  };
}

interface Admission extends Pick<Request, 'incoming' | 'response'> {
  readonly open: TokenCounter;
  readonly answer: Answer;
}

async function admit({ orchestrator, authenticator }: WorkerRoutesDeps, admission: Admission): Promise<void> {
  const { incoming, response, open, answer } = admission;
  try {
    const caller = { authorization: incoming.headers.authorization, address: incoming.socket.remoteAddress };
    const viewer = await authenticator.identify(caller);
    if (!viewer) return await sendResponse(response, unauthenticated());
    if (!can(viewer, 'work')) {
      return await sendResponse(response, problem({ status: 403, detail: 'This needs a token with the scope work.' }));
    }
    const place = open.enter(viewer.tokenId);
    if (!place) throw new RateLimitedError(1);
    try {
      send(response, await answer({ viewer, incoming, response }));
    } finally {
      place.leave();
    }
  } catch (error) {
    await sendResponse(response, refuse(orchestrator, error));
  }
}

/** What is answered may be a secret: it is kept nowhere on the way. */
function send(response: ServerResponse, answer: unknown): void {
  if (response.destroyed) return;
  const body = JSON.stringify(toWire(answer));
  response.writeHead(200, [
    ...['cache-control', 'no-store', 'content-type', 'application/json', 'x-content-type-options', 'nosniff'],
    ...['content-length', String(Buffer.byteLength(body))],
  ]);
  response.end(body);
}

function refuse(orchestrator: Orchestrator, error: unknown): Response {
  if (error instanceof WorkerProblem) return problem({ status: error.status, detail: error.message });
  if (!(error instanceof SupersededError)) return answerDefect(orchestrator, error);
  return problem({ status: 409, detail: error.message, members: { code: 'SUPERSEDED' } });
}

function pathOf({ worker, build, attempt }: Record<'worker' | 'build' | 'attempt', string>): AttemptPath {
  const attemptNo = Number(attempt);
  if (!Number.isSafeInteger(attemptNo) || attemptNo < 1 || attemptNo > 2 ** 31 - 1) {
    throw new WorkerProblem(404, 'There is no such attempt.');
  }
  return { workerId: uuidOf('worker', worker), buildId: uuidOf('build', build), attemptNo };
}

function uuidOf(name: string, text: string): string {
  if (!isUuid(text)) throw new WorkerProblem(404, `This is no id of a ${name}.`);
  return text;
}
