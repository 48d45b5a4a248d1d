/** POST of a query or mutation as JSON, which is nearly every request: answered without the objects of a fetch API. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionResult } from 'graphql';
import type { Viewer } from '../auth/viewer.ts';
import { type AnswerType, acceptedType } from './accepted-type.ts';
import type { Authenticator } from './authenticator.ts';
import { readParams } from './check-params.ts';
import { collectText } from './collect-body.ts';
import { goneSignal } from './gone-signal.ts';
import { refusal, refusedBy } from './http-status.ts';
import { identifyCaller } from './identify-caller.ts';
import type { Operations } from './operations.ts';
import { runHttpOperation } from './run-http-operation.ts';
import { sendResult } from './send-result.ts';

/** A request whose sender is known and whose body has been read, for who answers it instead. */
export interface ReadRequest {
  readonly viewer: Viewer;
  readonly body: string;
}

export interface PostOptions {
  readonly operations: Operations;
  readonly authenticator: Authenticator;
  readonly bodyBytes: number;
  /** Pages of other origins may call: their answers have more headers. */
  readonly hasOrigins: boolean;
  /** For what turns out to be a subscription. */
  readonly otherwise: (request: IncomingMessage, response: ServerResponse, read: ReadRequest) => Promise<void>;
}

/** Gives a function that answers the request, and null for one that is not of this kind: then nothing of it was read. */
export function createPostHandler(options: PostOptions) {
  return (request: IncomingMessage, response: ServerResponse): Promise<void> | null => {
    const type = isOrdinary(request, options) ? acceptedType(request.headers.accept) : null;
    return type && answer(options, { request, response, type });
  };
}

function isOrdinary({ method, url, headers }: IncomingMessage, { hasOrigins }: PostOptions): boolean {
  return (
    method === 'POST' &&
    url === '/graphql' &&
    isJson(headers['content-type']) &&
    headers['content-encoding'] === undefined &&
    (headers.origin === undefined || !hasOrigins)
  );
}

function isJson(type = ''): boolean {
  return type === 'application/json' || (type.startsWith('application/json;') && !type.includes(','));
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly type: AnswerType;
}

async function answer(options: PostOptions, { request, response, type }: Exchange): Promise<void> {
  const { mask, write } = options.operations;
  try {
    const result = await run(options, request, response);
    if (result) sendResult(response, { result, type, write });
  } catch (error) {
    if (response.headersSent) response.destroy();
    else sendResult(response, { result: { errors: [refusedBy(mask, error)] }, type, write });
  }
}

/** Null when somebody else answers, or nobody waits for an answer. */
async function run(
  options: PostOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<ExecutionResult | null> {
  const { operations, authenticator, bodyBytes, otherwise } = options;
  const { method = 'POST', headers, socket } = request;
  const looked = authenticator.look({ authorization: headers.authorization, address: socket.remoteAddress });
  // Of who has no token nothing is kept; of who had one lately the body is read while it is looked up again.
  const early = looked.wasValid ? read(request, bodyBytes) : null;
  const viewer = await identifyCaller(looked.viewer, operations.mask);
  const found = await (early ?? read(request, bodyBytes));
  if (found === 'GONE') return null;
  if ('refused' in found) throw found.refused;
  const { body, params } = found;
  if (params.query.includes('subscription')) {
    await otherwise(request, response, { viewer, body });
    return null;
  }
  const said = { method, accept: headers.accept, traceparent: traceparentOf(headers) };
  const result = await runHttpOperation(operations, { ...said, params, viewer, gone: () => goneSignal(response) });
  if (Symbol.asyncIterator in result) throw new Error('A subscription came where there are none.');
  return result;
}

type Found =
  | { readonly body: string; readonly params: ReturnType<typeof readParams> }
  | { readonly refused: unknown }
  | 'GONE';

/** The body, and what it asks for. Never rejects. */
async function read(request: IncomingMessage, maxBytes: number): Promise<Found> {
  const collected = await collectText(request, maxBytes);
  if (!collected.ok && collected.why === 'GONE') return 'GONE';
  try {
    if (!collected.ok) throw refusal(413, 'REQUEST_ENTITY_TOO_LARGE', 'Request body too large');
    return { body: collected.body, params: readParams(collected.body) };
  } catch (refused) {
    return { refused };
  }
}

function traceparentOf({ traceparent }: IncomingHttpHeaders): string | undefined {
  return typeof traceparent === 'string' ? traceparent : undefined;
}
