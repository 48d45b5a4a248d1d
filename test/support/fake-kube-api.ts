/**
 * As much of a Kubernetes API server as the transport speaks to: pods, their list and their watch, and exec over WebSocket,
 * on loopback, in memory. It can be told to misbehave in every way that a real one, or what stands before it, has been seen to.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

export interface FakePod {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: Readonly<Record<string, unknown>>;
}

/** Answers instead of the server; false: the server answers after all. */
export type Answerer = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export interface FakeKubeApi extends AsyncDisposable {
  readonly port: number;
  /** Path of a kubeconfig file that names this server, with the token `fake-token` and the namespace `builds`. */
  readonly kubeconfig: string;
  /** Every request so far, such as `GET /api/v1/namespaces/builds/pods?limit=250`. */
  readonly requests: string[];
  /** Asked first at every request; null: nobody. */
  answer: Answerer | null;
  /** Speaks for the kubelet. Default: exit code 0 at once. */
  exec: (socket: WebSocket, request: IncomingMessage) => void;
  /** Speaks for the server when an exec asks for the upgrade; null: it is granted. */
  upgrade: ((request: IncomingMessage, socket: Duplex) => void) | null;
  /** Creates the pod or changes its status; `quietly`: no watch is told. */
  put(name: string, status?: Record<string, unknown>, options?: { readonly quietly?: boolean }): FakePod;
  remove(name: string, options?: { readonly quietly?: boolean }): void;
  /** As they are now. */
  readonly pods: readonly FakePod[];
  /** Says something on every open watch: a line, or bytes as they are. */
  say(line: object | string): void;
  /** Ends every open watch: politely, or as a broken network does. */
  endWatches(how: 'end' | 'reset'): void;
  readonly watches: number;
}

export const FAKE_NAMESPACE = 'builds';

/** A Status object on the channel of an exec's end. */
export function endExec(socket: WebSocket, exitCode: number): void {
  const status =
    exitCode === 0
      ? { kind: 'Status', status: 'Success' }
      : {
          ...{ kind: 'Status', status: 'Failure', reason: 'NonZeroExitCode', message: `exit code ${exitCode}` },
          details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
        };
  sayExec(socket, 3, JSON.stringify(status));
  socket.close(1000);
}

/** A message on a channel: 1 is stdout, 2 is stderr, 3 the end. */
export function sayExec(socket: WebSocket, channel: number, bytes: string | Buffer): void {
  socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(bytes)]));
}

export function sendStatus(response: ServerResponse, code: number, reason: string, message: string): true {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ kind: 'Status', status: 'Failure', code, reason, message }));
  return true;
}

export async function openFakeKubeApi(): Promise<FakeKubeApi> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-fake-kube-'));
  const pods = new PodStore();
  const sockets = new Set<Socket>();
  const upgrades = new WebSocketServer({ noServer: true, handleProtocols: () => 'v4.channel.k8s.io' });
  const server = createServer((request, response) => {
    fake.requests.push(`${request.method} ${request.url}`);
    void respond(fake, pods, request, response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    fake.requests.push(`${request.method} ${request.url}`);
    if (fake.upgrade) return fake.upgrade(request, socket);
    upgrades.handleUpgrade(request, socket, head, (exec) => {
      exec.on('error', () => {});
      fake.exec(exec, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, JSON.stringify(kubeconfigFor(port)));
  const fake: FakeKubeApi = {
    port,
    kubeconfig,
    requests: [],
    answer: null,
    exec: (socket) => endExec(socket, 0),
    upgrade: null,
    put: (name, status, options) => pods.put(name, { status: status ?? {} }, options?.quietly ?? false),
    remove: (name, options) => pods.remove(name, options?.quietly ?? false),
    say: (line) => pods.say(line),
    endWatches: (how) => pods.endWatches(how),
    get pods() {
      return pods.all();
    },
    get watches() {
      return pods.watches.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
  return fake;
}

class PodStore {
  /** With what they select. */
  readonly watches = new Map<ServerResponse, string>();
  readonly #pods = new Map<string, FakePod>();
  #version = 100;

  get version(): string {
    return String(this.#version);
  }

  get(name: string): FakePod | undefined {
    return this.#pods.get(name);
  }

  all(labelSelector = ''): FakePod[] {
    return [...this.#pods.values()].filter((pod) => isSelected(pod, labelSelector));
  }

  put(
    name: string,
    change: { status?: object; metadata?: { labels?: object; annotations?: object }; spec?: object },
    quietly: boolean,
  ): FakePod {
    const before = this.#pods.get(name);
    this.#version += 1;
    const pod: FakePod = {
      metadata: {
        ...(before?.metadata ?? { uid: randomUUID(), creationTimestamp: new Date().toISOString() }),
        ...change.metadata,
        labels: { ...before?.metadata.labels, ...change.metadata?.labels },
        annotations: { ...before?.metadata.annotations, ...change.metadata?.annotations },
        ...{ name, resourceVersion: this.version },
      } as FakePod['metadata'],
      spec: { ...before?.spec, ...change.spec },
      status: { phase: 'Pending', ...before?.status, ...change.status },
    };
    this.#pods.set(name, pod);
    if (!quietly) this.#tell(before ? 'MODIFIED' : 'ADDED', pod);
    return pod;
  }

  remove(name: string, quietly: boolean): void {
    const pod = this.#pods.get(name);
    if (!pod) return;
    this.#pods.delete(name);
    this.#version += 1;
    if (!quietly) this.#tell('DELETED', { ...pod, metadata: { ...pod.metadata, resourceVersion: this.version } });
  }

  say(line: object | string): void {
    for (const watch of this.watches.keys()) watch.write(typeof line === 'string' ? line : `${JSON.stringify(line)}\n`);
  }

  #tell(type: string, object: FakePod): void {
    for (const [watch, labelSelector] of this.watches) {
      if (isSelected(object, labelSelector)) watch.write(`${JSON.stringify({ type, object })}\n`);
    }
  }

  endWatches(how: 'end' | 'reset'): void {
    for (const watch of this.watches.keys()) {
      if (how === 'end') watch.end();
      else watch.socket?.resetAndDestroy();
    }
  }
}

/** Of a selector only `label=value` is understood. */
export function isSelected(
  { metadata }: { metadata: Pick<FakePod['metadata'], 'labels'> },
  labelSelector: string,
): boolean {
  const wanted = labelSelector.split(',').filter((term) => term !== '');
  return wanted.every((term) => metadata.labels[term.split('=')[0] ?? ''] === term.split('=')[1]);
}

async function respond(fake: FakeKubeApi, pods: PodStore, request: IncomingMessage, response: ServerResponse) {
  if (await fake.answer?.(request, response)) return;
  const url = new URL(request.url ?? '/', 'http://fake');
  if (url.pathname === '/version') return sendJson(response, 200, { gitVersion: 'v1.20.2', platform: 'linux/amd64' });
  if (url.pathname.endsWith('/selfsubjectaccessreviews')) return sendJson(response, 201, { status: { allowed: true } });
  const [, name] = /^\/api\/v1\/namespaces\/builds\/pods(?:\/([^/]+))?$/.exec(url.pathname) ?? [null];
  if (name === null) return sendStatus(response, 404, 'NotFound', 'the server could not find the requested resource');
  if (name === undefined && request.method === 'GET') {
    const labelSelector = url.searchParams.get('labelSelector') ?? '';
    if (url.searchParams.get('watch') === 'true') return openWatch({ pods, labelSelector, response });
    const metadata = { resourceVersion: pods.version };
    return sendJson(response, 200, { kind: 'PodList', metadata, items: pods.all(labelSelector) });
  }
  await changePod({ pods, request, response, name });
}

/** A watch begins with what is there: enough for a client that takes what it knows already for old. */
function openWatch(input: { pods: PodStore; labelSelector: string; response: ServerResponse }): void {
  const { pods, labelSelector, response } = input;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  pods.watches.set(response, labelSelector);
  response.on('close', () => pods.watches.delete(response));
  for (const pod of pods.all(labelSelector)) response.write(`${JSON.stringify({ type: 'ADDED', object: pod })}\n`);
}

async function changePod(input: {
  pods: PodStore;
  request: IncomingMessage;
  response: ServerResponse;
  name: string | undefined;
}): Promise<unknown> {
  const { pods, request, response } = input;
  const text = (await Array.fromAsync(request as AsyncIterable<Buffer>)).join('');
  const body = JSON.parse(text || '{}') as {
    metadata?: { name?: string; resourceVersion?: string; labels?: object };
    spec?: object;
    preconditions?: { uid?: string; resourceVersion?: string };
  };
  const name = input.name ?? body.metadata?.name ?? '';
  const pod = pods.get(name);
  if (request.method === 'POST') {
    if (pod) return sendStatus(response, 409, 'AlreadyExists', `pods "${name}" already exists`);
    return sendJson(response, 201, pods.put(name, body, false));
  }
  if (!pod) return sendStatus(response, 404, 'NotFound', `pods "${name}" not found`);
  if (request.method === 'GET') return sendJson(response, 200, pod);
  if (request.method === 'PATCH') {
    const { resourceVersion = pod.metadata.resourceVersion } = body.metadata ?? {};
    if (resourceVersion === pod.metadata.resourceVersion) return sendJson(response, 200, pods.put(name, body, false));
    return sendStatus(response, 409, 'Conflict', `Operation cannot be fulfilled on pods "${name}"`);
  }
  if ((body.preconditions?.uid ?? pod.metadata.uid) !== pod.metadata.uid) {
    return sendStatus(response, 409, 'Conflict', 'Precondition failed: UID in precondition');
  }
  if ((body.preconditions?.resourceVersion ?? pod.metadata.resourceVersion) !== pod.metadata.resourceVersion) {
    return sendStatus(response, 409, 'Conflict', 'Precondition failed: resourceVersion in precondition');
  }
  pods.remove(name, false);
  return sendJson(response, 200, pod);
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function kubeconfigFor(port: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    // The client library speaks plain HTTP only where certificates would not be looked at either.
    clusters: [{ name: 'fake', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'fake', user: { token: 'fake-token' } }],
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake', namespace: FAKE_NAMESPACE } }],
    'current-context': 'fake',
  };
}
