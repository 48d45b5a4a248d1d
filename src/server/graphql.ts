/** GraphQL over HTTP and SSE: Yoga reads requests and writes responses, `operations.ts` does what is between. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ExecutionResult, GraphQLError } from 'graphql';
import { createYoga, type GraphQLParams, type Plugin } from 'graphql-yoga';
import type { Viewer } from '../auth/viewer.ts';
import type { Orchestrator } from '../orchestrator.ts';
import type { Authenticator } from './authenticator.ts';
import { loadGraphiql } from './graphiql.ts';
import { refusal, withStatus } from './http-status.ts';
import type { ServerLimits } from './limits.ts';
import type { Operations } from './operations.ts';
import { runHttpOperation } from './run-http-operation.ts';
import { sendEvents } from './send-events.ts';
import { isResultStream } from './subscriptions.ts';

export const GRAPHQL_PATH = '/graphql';

export interface GraphqlOptions {
  readonly orchestrator: Orchestrator;
  readonly operations: Operations;
  readonly authenticator: Authenticator;
  readonly limits: ServerLimits;
}

interface NodeContext {
  /** The peer's address. */
  readonly peer: string | undefined;
}

/** Resolves when the response has been sent. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Handles everything that comes to `GRAPHQL_PATH` from an allowed origin. */
export async function createGraphqlHandler(options: GraphqlOptions): Promise<NodeHandler> {
  const { orchestrator, operations, authenticator, limits } = options;
  const { allowedOrigins, graphiql } = orchestrator.config;
  const yoga = createYoga<NodeContext>({
    schema: operations.schema,
    graphqlEndpoint: GRAPHQL_PATH,
    logging: false,
    landingPage: false,
    batching: false,
    multipart: false,
    parserAndValidationCache: false,
    maxRequestBodySize: limits.bodyBytes,
    maskedErrors: { maskError: (error) => maskError(operations, error) },
    cors: allowedOrigins.length > 0 && {
      origin: [...allowedOrigins],
      methods: ['GET', 'POST'],
      allowedHeaders: ['content-type', 'authorization'],
      exposedHeaders: ['retry-after'],
      credentials: false,
      maxAge: 600,
    },
    ...(graphiql ? await loadGraphiql() : { graphiql: false }),
    plugins: [answerDefects(operations), runOperations(authenticator, operations)],
  });
  return async (request, response) => yoga(request, response, { peer: request.socket.remoteAddress });
}

/** Of what is thrown outside an operation: nothing was executed, so the status says it. */
function maskError(operations: Operations, error: unknown): GraphQLError {
  if (error instanceof GraphQLError && !error.originalError) return error;
  const masked = operations.mask(error);
  withStatus({ errors: [masked] });
  return masked;
}

/** Yoga would answer a defect with its stack. */
function answerDefects(operations: Operations): Plugin<object, NodeContext> {
  return {
    onRequest({ requestHandler, setRequestHandler, fetchAPI }) {
      setRequestHandler(async (request, context) => {
        try {
          return await requestHandler(request, context);
        } catch (error) {
          const { message, extensions } = operations.mask(error);
          return fetchAPI.Response.json({ errors: [{ message, extensions }] }, { status: 500 });
        }
      });
    },
  };
}

function runOperations(authenticator: Authenticator, operations: Operations): Plugin<object, NodeContext> {
  const viewers = new WeakMap<Request, Viewer>();
  return {
    async onRequestParse({ request, requestParser, setRequestParser, serverContext }) {
      refuseOtherBodies(request);
      const caller = { authorization: request.headers.get('authorization'), address: serverContext.peer };
      const viewer = await authenticator.identify(caller).catch((error: unknown) => {
        throw maskError(operations, error);
      });
      if (!viewer) throw unauthenticated();
      viewers.set(request, viewer);
      if (requestParser) setRequestParser((limited) => readParams(async () => requestParser(limited)));
    },
    onParams({ request, params, setParamsHandler }) {
      checkParams(params);
      const viewer = viewers.get(request);
      if (!viewer) throw new Error('A request came to its operation without a viewer.');
      // Yoga only hands a stream on.
      setParamsHandler(
        async ({ params }) => (await runHttpOperation(operations, { request, params, viewer })) as ExecutionResult,
      );
    },
    onResultProcess({ result, setResultProcessor }) {
      if (!isResultStream(result)) return;
      setResultProcessor((_result, fetchAPI) => sendEvents(result, fetchAPI), 'text/event-stream');
    },
  };
}

function unauthenticated(): GraphQLError {
  const headers = { 'WWW-Authenticate': 'Bearer' };
  return refusal(401, 'UNAUTHENTICATED', 'Send a valid token: Authorization: Bearer slipway_…', headers);
}

/** JSON only: no form of a foreign page can send that without asking first. */
function refuseOtherBodies(request: Request): void {
  if (request.method !== 'POST') return;
  const [type] = (request.headers.get('content-type') ?? '').split(';');
  if (type?.trim().toLowerCase() !== 'application/json') {
    throw refusal(415, 'UNSUPPORTED_MEDIA_TYPE', 'Send the operation as application/json.');
  }
  if ((request.headers.get('content-encoding') ?? 'identity') !== 'identity') {
    throw refusal(415, 'UNSUPPORTED_CONTENT_ENCODING', 'Send the body as it is, not compressed.');
  }
}

/** What Yoga does not check, or answers with 200. */
function checkParams({ query, operationName }: GraphQLParams): void {
  if (query === undefined || query === null) throw refusal(400, 'BAD_REQUEST', 'Send the operation as "query".');
  const name: unknown = operationName ?? '';
  if (typeof name !== 'string') throw refusal(400, 'BAD_REQUEST', '"operationName" is not a string.');
}

type Params = GraphQLParams | GraphQLParams[] | Response;

/** Yoga's own readers repeat the parser's words, or fail like a defect. */
async function readParams(read: () => Promise<Params>): Promise<Params> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof GraphQLError && !('originalError' in error.extensions)) throw error;
    throw refusal(400, 'BAD_REQUEST', 'The request is not valid JSON.');
  }
}
