import { type ExecutionResult, type GraphQLError, getOperationAST } from 'graphql';
import type { GraphQLParams } from 'graphql-yoga';
import type { Viewer } from '../auth/viewer.ts';
import { refusal, withStatus } from './http-status.ts';
import type { Operations } from './operations.ts';
import type { ResultStream } from './subscriptions.ts';

export interface HttpOperation {
  readonly method: string;
  readonly accept: string | null | undefined;
  /** W3C Trace Context. */
  readonly traceparent: string | null | undefined;
  readonly params: GraphQLParams;
  readonly viewer: Viewer;
  /** Aborts when the caller has gone. */
  readonly gone: () => AbortSignal;
}

/** Runs one operation with the rules of its transport. The errors of the result carry their HTTP status. */
export async function runHttpOperation(
  operations: Operations,
  { method, accept, traceparent, params, viewer, gone }: HttpOperation,
): Promise<ExecutionResult | ResultStream> {
  const { query = '', operationName, variables } = params;
  const prepared = await operations.prepare(query, viewer);
  if (!prepared.ok) return withStatus({ errors: prepared.errors });
  const { document } = prepared;
  const kind = getOperationAST(document, operationName)?.operation;
  const operation = { document, operationName, variables, viewer, traceparent, gone };
  if (kind !== 'subscription') {
    return method === 'GET' ? { errors: [notByGet()] } : withStatus(await operations.execute(operation));
  }
  if (!acceptsEvents(accept)) return { errors: [eventsNotAccepted()] };
  const result = await operations.subscribe(operation);
  if (!(Symbol.asyncIterator in result)) return withStatus(result);
  releaseOnAbort(result, gone());
  return result;
}

/** What is in a URL is kept in logs and histories, and any page can make a browser send it. */
function notByGet(): GraphQLError {
  return refusal(405, 'METHOD_NOT_ALLOWED', 'Send queries and mutations by POST.', { Allow: 'POST' });
}

function eventsNotAccepted(): GraphQLError {
  return refusal(
    406,
    'NOT_ACCEPTABLE',
    'A subscription answers with text/event-stream: accept that, or use WebSocket.',
  );
}

function acceptsEvents(accept: HttpOperation['accept']): boolean {
  const ranges = (accept ?? '*/*').split(',').map((range) => range.split(';')[0]?.trim());
  return ranges.some((range) => range === '*/*' || range === 'text/*' || range === 'text/event-stream');
}

/** Whatever becomes of the response: a subscription lives no longer than its connection, also when it is idle. */
function releaseOnAbort(stream: ResultStream, signal: AbortSignal): void {
  if (signal.aborted) void stream.return?.();
  else signal.addEventListener('abort', () => void stream.return?.(), { once: true });
}
