/**
 * GraphQL over WebSocket: the protocol is graphql-ws', the sockets are ours. Mutations are allowed, too: the token comes
 * in `connection_init` and never by itself, as a cookie would, so a foreign page cannot make a browser send one; and a
 * bot that watches its builds may start the next one over the same socket.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CloseCode, handleProtocols } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import { RateLimitedError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import type { Authenticator } from './authenticator.ts';
import { FrameWriters } from './frame-writer.ts';
import { GraphqlSocket, type SocketServices } from './graphql-socket.ts';
import type { ServerLimits } from './limits.ts';
import type { Operations } from './operations.ts';
import { TokenSockets } from './token-sockets.ts';
import type { TokenWatch } from './token-watch.ts';

/** A peer that does not answer a close frame is cut after this time. */
const CLOSE_TIMEOUT_MS = 2_000;
const GOING_AWAY = 1001;

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

export function createWebSockets(options: WebSocketsOptions): WebSockets {
  const { limits } = options;
  const settings = {
    noServer: true,
    clientTracking: false,
    WebSocket: GraphqlSocket,
    maxPayload: limits.messageBytes,
    perMessageDeflate: false,
    handleProtocols: (offered: Set<string>) => handleProtocols(offered),
    // Not in its types yet.
    closeTimeout: CLOSE_TIMEOUT_MS,
  };
  const server = new WebSocketServer(settings);
  const open = new Set<GraphqlSocket>();
  const services = socketServices(options, open);
  const writers = new FrameWriters();
  const pings = setInterval(() => pingAll(open), limits.pingMs).unref();

  const connect = (socket: GraphqlSocket, request: IncomingMessage) => {
    const { socket: stream } = request;
    socket.start({ services, writer: writers.open(socket, stream), addressOf: addressOf(stream) });
    if (socket.protocol === '') socket.end(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable');
  };

  return {
    get size() {
      return open.size;
    },
    accept: (request, socket, head) => server.handleUpgrade(request, socket, head, connect),
    close() {
      for (const socket of open) socket.close(GOING_AWAY, 'The server is shutting down.');
    },
    [Symbol.dispose]() {
      clearInterval(pings);
      for (const socket of open) socket.terminate();
    },
  };
}

/** Apart, so that it holds nothing of the request. */
function addressOf(stream: Socket): () => string | undefined {
  return () => stream.remoteAddress;
}

/** One clock for all. */
function pingAll(sockets: ReadonlySet<GraphqlSocket>): void {
  for (const socket of sockets) {
    if (socket.answered) socket.ping();
    else socket.terminate();
    socket.answered = false;
  }
}

function socketServices(
  { orchestrator, operations, authenticator, tokens, limits }: WebSocketsOptions,
  open: Set<GraphqlSocket>,
): SocketServices {
  const { logger } = orchestrator;
  return {
    ...{ operations, limits, logger, open, tokenSockets: new TokenSockets(tokens, limits.socketsPerToken) },
    async identify(authorization, addressOf) {
      try {
        const caller = {
          authorization,
          get address() {
            return addressOf();
          },
        };
        return await authenticator.identify(caller);
      } catch (error) {
        if (!(error instanceof RateLimitedError)) {
          logger.debug({ err: error }, 'a WebSocket could not be authenticated');
        }
        throw error;
      }
    },
  };
}
