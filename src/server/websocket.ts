/**
 * GraphQL over WebSocket: the protocol is graphql-ws', the sockets are ours. Mutations are allowed, too: the token comes
 * in `connection_init` and never by itself, as a cookie would, so a foreign page cannot make a browser send one; and a
 * bot that watches its builds may start the next one over the same socket.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ExecutionArgs, GraphQLError } from 'graphql';
import { CloseCode, type Context, handleProtocols, makeServer, type ServerOptions } from 'graphql-ws';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { Viewer } from '../auth/viewer.ts';
import { RateLimitedError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import type { Authenticator } from './authenticator.ts';
import { type FrameWriter, FrameWriters } from './frame-writer.ts';
import type { ServerLimits } from './limits.ts';
import type { Operation, Operations } from './operations.ts';
import { Pump } from './pump.ts';
import { isResultStream } from './subscriptions.ts';
import { TokenCounter } from './token-counter.ts';
import type { TokenWatch } from './token-watch.ts';

/** A peer that does not answer a close frame is cut after this time. */
const CLOSE_TIMEOUT_MS = 2_000;
const GOING_AWAY = 1001;
const TOO_BIG = 1009;
const TRY_AGAIN_LATER = 1013;

export interface WebSocketsOptions {
  readonly orchestrator: Orchestrator;
  readonly operations: Operations;
  readonly authenticator: Authenticator;
  readonly tokens: TokenWatch;
  readonly limits: ServerLimits;
}

export interface WebSockets extends Disposable {
  readonly size: number;
  /** Takes over a connection that asked to be upgraded. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Tells every client that it may come back elsewhere. */
  close(): void;
  /** Cuts those that are still there. */
  [Symbol.dispose](): void;
}

interface Extra extends Record<PropertyKey, unknown> {
  readonly socket: WebSocket;
  readonly writer: FrameWriter;
  /** Of the peer. */
  readonly address: string | undefined;
  viewer: Viewer | null;
  /** Aborts when the connection has ended. */
  readonly gone: AbortController;
  unwatch: () => void;
}

export function createWebSockets(options: WebSocketsOptions): WebSockets {
  const { limits, orchestrator } = options;
  const settings = {
    noServer: true,
    maxPayload: limits.messageBytes,
    perMessageDeflate: false,
    handleProtocols: (offered: Set<string>) => handleProtocols(offered),
    // Not in its types yet.
    closeTimeout: CLOSE_TIMEOUT_MS,
  };
  const server = new WebSocketServer(settings);
  const protocol = makeServer<Record<string, unknown>, Extra>(protocolOptions(options));
  const writers = new FrameWriters();
  const answered = new WeakSet<WebSocket>();
  const pings = setInterval(() => pingAll(server, answered), limits.pingMs).unref();

  const connect = (socket: WebSocket, request: IncomingMessage) => {
    answered.add(socket);
    socket.on('pong', () => answered.add(socket));
    // ws has closed it with the right code already: too big, not UTF-8, not a frame.
    socket.on('error', (error) => orchestrator.logger.debug({ err: error }, 'a WebSocket was closed for its fault'));
    const address = request.socket.remoteAddress;
    const writer = writers.open(socket, request.socket);
    const extra: Extra = { socket, writer, address, viewer: null, gone: new AbortController(), unwatch: () => {} };
    const onClosed = protocol.opened(
      {
        protocol: socket.protocol,
        send(text) {
          writer.flush();
          return send(socket, text, limits.unsentBytes);
        },
        close(code, reason) {
          writer.flush();
          socket.close(code, reason);
        },
        onMessage: (handle) => socket.on('message', receive(extra, handle, options)),
      },
      extra,
    );
    socket.once('close', (code, reason) => {
      extra.unwatch();
      extra.gone.abort();
      void onClosed(code, String(reason));
    });
  };

  return {
    get size() {
      return server.clients.size;
    },
    accept: (request, socket, head) => server.handleUpgrade(request, socket, head, connect),
    close() {
      for (const socket of server.clients) socket.close(GOING_AWAY, 'The server is shutting down.');
    },
    [Symbol.dispose]() {
      clearInterval(pings);
      for (const socket of server.clients) socket.terminate();
    },
  };
}

function pingAll(server: WebSocketServer, answered: WeakSet<WebSocket>): void {
  for (const socket of server.clients) {
    if (answered.delete(socket)) socket.ping();
    else socket.terminate();
  }
}

/** Resolves when the text has left this process. */
function send(socket: WebSocket, text: string, maxUnsentBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(text, (error) => {
      if (socket.isPaused && socket.bufferedAmount <= maxUnsentBytes) socket.resume();
      // What was on its way to a socket that is gone is missed by nobody.
      if (error && socket.readyState === socket.OPEN) reject(error);
      else resolve();
    });
    // Whoever does not read what it asked for may not ask for more.
    if (socket.bufferedAmount > maxUnsentBytes) socket.pause();
  });
}

function receive(
  extra: Extra,
  handle: (text: string) => Promise<void>,
  { orchestrator: { logger }, limits }: WebSocketsOptions,
) {
  const { socket } = extra;
  const fail = (error: unknown): void => {
    // What was being sent to a socket that is gone.
    if (socket.readyState !== socket.OPEN) return;
    if (error instanceof Error && error.message.startsWith('Unexpected message of type')) {
      socket.close(CloseCode.BadRequest, 'Invalid message received');
      return;
    }
    logger.error({ err: error }, 'unexpected error in a WebSocket message');
    socket.close(CloseCode.InternalServerError, 'Internal server error');
  };
  return (data: RawData, isBinary: boolean): void => {
    if (!extra.viewer && 'byteLength' in data && data.byteLength > limits.firstMessageBytes) {
      socket.close(TOO_BIG, 'Send connection_init first');
    } else if (isBinary) socket.close(CloseCode.BadRequest, 'Messages are text');
    else handle(String(data)).catch(fail);
  };
}

function protocolOptions(options: WebSocketsOptions): ServerOptions<Record<string, unknown>, Extra> {
  const { operations, limits } = options;
  const sockets = new TokenCounter(limits.socketsPerToken);
  return {
    connectionInitWaitTimeout: limits.connectionInitMs,
    onConnect: (context) => connectViewer(options, sockets, context),
    async onSubscribe({ extra, subscriptions }, id, { query, operationName, variables }) {
      if (Object.keys(subscriptions).length > limits.operationsPerSocket) {
        return [tooManyOperations(limits.operationsPerSocket)];
      }
      if (!extra.viewer) throw new Error('An operation came before its viewer.');
      const prepared = await operations.prepare(query, extra.viewer);
      if (!prepared.ok) return prepared.errors;
      return {
        schema: operations.schema,
        document: prepared.document,
        operationName: operationName ?? null,
        variableValues: variables ?? null,
        contextValue: {
          id,
          viewer: extra.viewer,
          gone: () => extra.gone.signal,
          writer: extra.writer,
        } satisfies Caller,
      };
    },
    execute: (args) => operations.execute(operationOf(args)),
    async subscribe(args) {
      const { id, writer } = args.contextValue as Caller;
      const result = await operations.subscribe(operationOf(args));
      return isResultStream(result) ? new Pump(result, writer, id) : result;
    },
    onError: (_context, _id, _payload, errors) => errors.map((error) => operations.mask(error).toJSON()),
  };
}

interface Caller {
  /** Of the operation, within its socket. */
  readonly id: string;
  readonly writer: FrameWriter;
  readonly viewer: Viewer;
  readonly gone: () => AbortSignal;
}

/** The context of graphql-ws' arguments is the caller; `operations` makes the real ones. */
function operationOf({ document, operationName, variableValues, contextValue }: ExecutionArgs): Operation {
  const { viewer, gone } = contextValue as Caller;
  return { document, operationName, variables: variableValues, viewer, gone };
}

async function connectViewer(
  { orchestrator, authenticator, tokens, limits }: WebSocketsOptions,
  sockets: TokenCounter,
  { connectionParams, extra }: Context<Record<string, unknown>, Extra>,
): Promise<boolean> {
  const { socket, address } = extra;
  try {
    const given = connectionParams?.authorization ?? connectionParams?.Authorization;
    const viewer = await authenticator.identify({ authorization: typeof given === 'string' ? given : null, address });
    if (!viewer || socket.readyState !== socket.OPEN) return false;
    const leave = sockets.enter(viewer.tokenId);
    if (!leave) {
      const reason = `One token can have ${limits.socketsPerToken} sockets.`;
      socket.close(CloseCode.TooManyInitialisationRequests, reason);
      return false;
    }
    extra.viewer = viewer;
    const unwatch = tokens.watch(viewer, () => socket.close(CloseCode.Forbidden, 'Forbidden'));
    extra.unwatch = () => {
      unwatch();
      leave();
    };
    return true;
  } catch (error) {
    if (!(error instanceof RateLimitedError)) {
      orchestrator.logger.debug({ err: error }, 'a WebSocket could not be authenticated');
    }
    socket.close(TRY_AGAIN_LATER, 'Try again later');
    return false;
  }
}

function tooManyOperations(limit: number): GraphQLError {
  return new GraphQLError(`One socket can have ${limit} operations at the same time.`, {
    extensions: { code: 'TOO_MANY_OPERATIONS', limit },
  });
}
