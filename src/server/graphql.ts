/**
 * GraphQL over HTTP and SSE: `post-graphql.ts` answers ordinary requests, and Yoga all others in the same way;
 * `operations.ts` does what is between.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ExecutionResult, GraphQLError } from 'graphql';
import { createYoga, type GraphQLParams, type Plugin } from 'graphql-yoga';
import type { Viewer } from '../auth/viewer.ts';
import type { Orchestrator } from '../orchestrator.ts';
import type { Authenticator } from './authenticator.ts';
import { checkQuery, notJson } from './check-params.ts';
import { loadGraphiql } from './graphiql.ts';
import { refusal, refusedBy } from './http-status.ts';
import { identifyCaller } from './identify-caller.ts';
import type { ServerLimits } from './limits.ts';
import type { Operations } from './operations.ts';
import { createPostHandler } from './post-graphql.ts';
import { protect } from './protection.ts';
import { runHttpOperation } from './run-http-operation.ts';
import { sendEvents } from './send-events.ts';
import { isResultStream } from './subscriptions.ts';

export const GRAPHQL_PATH = '/graphql';

export interface GraphqlOptions {
  readonly orchestrator: Orchestrator;
  readonly operations: Operations;
  readonly authenticator: Authenticator;
  readonly limits: ServerLimits;
  readonly yogaOnly: boolean;
}

interface NodeContext {
  /** The peer's address. */
  readonly peer: string | undefined;
  /** Who sends the request, where that is known already. */
  readonly viewer?: Viewer;
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
    maskedErrors: { maskError: (error) => refusedBy(operations.mask, error) },
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
  const byYoga: NodeHandler = async (request, response) => {
    protect(response);
    await yoga(request, response, { peer: request.socket.remoteAddress });
  };
  if (options.yogaOnly) return byYoga;
  const post = createPostHandler({
    ...{ operations, authenticator, bodyBytes: limits.bodyBytes, hasOrigins: allowedOrigins.length > 0 },
    async otherwise(request, response, { viewer, body }) {
      protect(response);
      await yoga(Object.assign(request, { body }), response, { peer: request.socket.remoteAddress, viewer });
    },
  });
  return (request, response) => post(request, response) ?? byYoga(request, response);
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
  const { mask } = operations;
  return {
    async onRequestParse({ request, requestParser, setRequestParser, serverContext }) {
      refuseOtherBodies(request);
      const caller = { authorization: request.headers.get('authorization'), address: serverContext.peer };
      viewers.set(request, serverContext.viewer ?? (await identifyCaller(authenticator.identify(caller), mask)));
      if (requestParser) setRequestParser((limited) => asRefusal(async () => requestParser(limited)));
    },
    onParams({ request, params, setParamsHandler }) {
      checkQuery(params);
      const viewer = viewers.get(request);
      if (!viewer) throw new Error('A request came to its operation without a viewer.');
      const { method, headers, signal } = request;
      const said = { method, accept: headers.get('accept'), traceparent: headers.get('traceparent') };
      setParamsHandler(
        // Yoga only hands a stream on.
        async ({ params }) =>
          (await runHttpOperation(operations, { ...said, params, viewer, gone: () => signal })) as ExecutionResult,
      );
    },
    onResultProcess({ result, setResultProcessor }) {
      if (!isResultStream(result)) return;
      setResultProcessor((_result, fetchAPI) => sendEvents(result, fetchAPI), 'text/event-stream');
    },
  };
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

type Params = GraphQLParams | GraphQLParams[] | Response;

/** Yoga's own readers repeat the parser's words, or fail like a defect. */
async function asRefusal(read: () => Promise<Params>): Promise<Params> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof GraphQLError && !('originalError' in error.extensions)) throw error;
    throw notJson();
  }
}
