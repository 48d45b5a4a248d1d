/** The edge: one port for the API (HTTP, SSE, WebSocket), health checks, metrics and artifacts. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import type { GraphQLSchema } from 'graphql';
import type { Orchestrator } from '../orchestrator.ts';
import { AddressLimits } from './address-limits.ts';
import { Authenticator } from './authenticator.ts';
import { createGraphqlHandler, GRAPHQL_PATH } from './graphql.ts';
import { type ServerLimits, serverLimits } from './limits.ts';
import { hostInUrl, listen } from './listen.ts';
import { openMetrics } from './open-metrics.ts';
import { createOperations } from './operations.ts';
import { isAllowedOrigin } from './origin.ts';
import { PROTECTION } from './protection.ts';
import { openRateBudgets } from './rate-budgets.ts';
import { RateLimits } from './rate-limits.ts';
import { LongPolls } from './rest/long-polls.ts';
import { createRoutes } from './routes.ts';
import { watchStalledStreams } from './stalled-streams.ts';
import { Subscriptions } from './subscriptions.ts';
import { TokenCounter } from './token-counter.ts';
import { TokenWatch } from './token-watch.ts';
import { traceOperations } from './trace-operations.ts';
import { createWebSockets, type WebSockets } from './websocket.ts';
import { WorkerHints } from './worker-hints.ts';
import { createWorkerHandler } from './worker-routes.ts';

/** Longer than the idle time of common load balancers, so that they close first. */
const KEEP_ALIVE_MS = 65_000;
const CLOSE_IDLE_EVERY_MS = 20;
const UPLOAD_GRACE_MS = 1_000;

export interface ServerOptions {
  readonly orchestrator: Orchestrator;
  readonly schema: GraphQLSchema;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Aborts when this process is about to end: it is not ready from then on. */
  readonly draining?: AbortSignal;
  readonly limits?: Partial<ServerLimits>;
  /** Yoga answers every request to `GRAPHQL_PATH`: for who compares it with what answers ordinary ones. */
  readonly yogaOnly?: boolean;
}

export interface OpenServer extends AsyncDisposable {
  /** `http://127.0.0.1:4400`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Open subscriptions, over SSE and WebSocket. */
  readonly subscriptionCount: number;
  /** Open WebSockets. */
  readonly socketCount: number;
}

/** Resolves when the port is open; rejects with the system's error (EADDRINUSE, EACCES) when it cannot be. */
export async function openServer(options: ServerOptions): Promise<OpenServer> {
  const { orchestrator, schema, host } = options;
  const limits = serverLimits(orchestrator.config, options.limits);
  await using opened = new AsyncDisposableStack();
  const tokens = opened.use(
    new TokenWatch({ db: orchestrator.db, logger: orchestrator.logger, everyMs: limits.tokenCheckMs }),
  );
  const subscriptions = opened.use(new Subscriptions());
  const addresses = new AddressLimits({ perMinute: limits.refusedPerMinute });
  const hints = opened.use(new WorkerHints(orchestrator.hub));
  const authenticator = new Authenticator(orchestrator.db, addresses);
  const rateLimits = openRateLimits(orchestrator, limits);
  if (rateLimits) opened.use(rateLimits);
  let url: string | null = null;
  const downloads = new TokenCounter(limits.operationsPerToken);
  const metrics = opened.use(openMetrics(orchestrator));
  const shared = { orchestrator, addresses, authenticator, rateLimits };
  const parts = { ...shared, downloads, metrics, tokens, limits, hints };
  const closing = new AbortController();
  const ends = closing.signal;
  const untraced = createOperations({ ...parts, schema, subscriptions, serverUrl: () => url, closing: ends });
  const operations = traceOperations(untraced, orchestrator.telemetry.tracing);
  const sockets = opened.use(createWebSockets({ ...parts, operations }));
  const streams = opened.use(watchStalledStreams(limits.stalledStreamMs));
  const graphql = await createGraphqlHandler({ ...parts, operations, yogaOnly: options.yogaOnly ?? false });
  const longPolls = new LongPolls({ perProcess: limits.longPolls, perToken: limits.operationsPerToken, closing: ends });
  const rest = { ...parts, schema, operations: untraced, longPolls };
  const routes = getRequestListener((await createRoutes(rest, options.draining)).fetch, {
    overrideGlobalObjects: false,
  });
  const workers = createWorkerHandler(parts);
  const { allowedOrigins } = orchestrator.config;
  const refuse = createRefusals(allowedOrigins);

  const server = createServer(httpSettings(limits), (request, response) => {
    streams.watch(response);
    endUploadWith(response, request);
    if (pathOf(request) !== GRAPHQL_PATH) {
      if (!workers(request, response)) void routes(request, response);
      return;
    }
    const refused = refuse(request);
    if (refused) return void answer(response, refused);
    void graphql(request, response);
  });
  server.maxConnections = limits.connections;
  const unused = trackUnused(server);
  server.on('upgrade', (request, socket, head) => {
    const refused = refuseUpgrade(request, allowedOrigins, sockets.size >= limits.sockets);
    upgrade({ request, socket, head, refused }, { sockets, unused });
  });
  await listen(server, options.port, host);
  const waiting = [{ [Symbol.dispose]: () => closing.abort() }, subscriptions, hints];
  opened.defer(() => shutDown({ server, closeUnused: unused.close, sockets, waiting, limitMs: limits.shutdownMs }));
  const resources = opened.move();
  const { port } = server.address() as AddressInfo;
  url = `http://${hostInUrl(host)}:${port}`;
  return {
    url,
    port,
    get subscriptionCount() {
      return subscriptions.size;
    },
    get socketCount() {
      return sockets.size;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  /** The status that says so. */
  readonly refused: string | null;
}

function upgrade({ request, socket, head, refused }: Upgrade, { sockets, unused }: UpgradeTo): void {
  // A peer that goes away in the middle of the handshake.
  socket.on('error', destroy);
  if (refused) {
    socket.end(`HTTP/1.1 ${refused}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    return;
  }
  sockets.accept(request, socket, head);
  // It has listeners of its own now, and may be one of many thousands.
  unused.forget(request.socket);
  if (socket.listenerCount('error') > 1) socket.off('error', destroy);
}

interface UpgradeTo {
  readonly sockets: WebSockets;
  readonly unused: ReturnType<typeof trackUnused>;
}

function destroy(this: Duplex): void {
  this.destroy();
}

/** Null where tokens may ask for as much as they like. */
function openRateLimits({ db, logger }: Orchestrator, { pointsPerMinute }: ServerLimits): RateLimits | null {
  if (pointsPerMinute === 0) return null;
  const budget = { capacity: pointsPerMinute, pointsPerSecond: pointsPerMinute / 60 };
  return new RateLimits({ budgets: openRateBudgets(db, budget), logger });
}

function httpSettings(limits: ServerLimits) {
  return {
    headersTimeout: limits.headersMs,
    // Of receiving a request; a response may stream for as long as it likes.
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: Math.min(limits.headersMs, 5_000),
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
}

function pathOf(request: IncomingMessage): string {
  return request.url?.split('?', 1)[0] ?? '';
}

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** Before Yoga sees it: Yoga builds a URL of the host. */
function createRefusals(allowedOrigins: readonly string[]): (request: IncomingMessage) => Refusal | null {
  // Nearly all requests have the same one.
  let validHost = '';
  return ({ headers }) => {
    const { host = '' } = headers;
    if (host !== validHost || host === '') {
      if (!URL.canParse(`http://${headers.host}/`)) {
        return { status: 400, code: 'BAD_REQUEST', message: 'The Host header is not valid.' };
      }
      validHost = host;
    }
    if (isAllowedOrigin(headers, allowedOrigins)) return null;
    return { status: 403, code: 'ORIGIN_NOT_ALLOWED', message: 'Pages of this origin may not call the API.' };
  };
}

function refuseUpgrade(request: IncomingMessage, allowedOrigins: readonly string[], full: boolean): string | null {
  if (pathOf(request) !== GRAPHQL_PATH) return '404 Not Found';
  if (!isAllowedOrigin(request.headers, allowedOrigins)) return '403 Forbidden';
  return full ? '503 Service Unavailable' : null;
}

function answer(response: ServerResponse, { status, code, message }: Refusal): void {
  response.writeHead(status, [...PROTECTION, 'content-type', 'application/json; charset=utf-8']);
  response.end(JSON.stringify({ errors: [{ message, extensions: { code } }] }));
}

/** A refused body may still be on its way: its sender gets a moment to end it, and to read why it was refused. */
function endUploadWith(response: ServerResponse, request: IncomingMessage): void {
  const { socket } = request;
  response.once('finish', () => {
    if (request.complete) return;
    request.resume();
    setTimeout(() => {
      if (!request.complete) socket.destroy();
    }, UPLOAD_GRACE_MS).unref();
  });
}

/** Browsers open connections that they may need; Node does not call those idle. */
function trackUnused(server: Server) {
  const connections = new Set<Socket>();
  function onClose(this: Socket): void {
    connections.delete(this);
  }
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', onClose);
  });
  return {
    /** Closes them. */
    close() {
      for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
    },
    forget(socket: Socket) {
      connections.delete(socket);
      socket.off('close', onClose);
    },
  };
}

interface ShutDown {
  readonly server: Server;
  readonly closeUnused: () => void;
  readonly sockets: WebSockets;
  /** Those who wait for something that may be long in coming. */
  readonly waiting: readonly Disposable[];
  readonly limitMs: number;
}

/** Stops accepting, lets go of who waits for events, lets running requests finish, and cuts what is left. */
async function shutDown({ server, closeUnused, sockets, waiting, limitMs }: ShutDown): Promise<void> {
  let isClosed = false;
  const closed = new Promise<void>((resolve) => server.close(() => resolve())).then(() => {
    isClosed = true;
  });
  sockets.close();
  for (const held of waiting) held[Symbol.dispose]();
  const deadline = performance.now() + limitMs;
  while (!isClosed && performance.now() < deadline) {
    // `close` does it once, but a connection becomes idle only after its last response.
    server.closeIdleConnections();
    closeUnused();
    await Promise.race([closed, delay(CLOSE_IDLE_EVERY_MS)]);
  }
  sockets[Symbol.dispose]();
  server.closeAllConnections();
  await closed;
}
