/** A real git remote over HTTP on loopback: bare repositories behind `git http-backend`, with the faults of real hosts. */
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * `answer`: as git does. `hang`: never answers. `error`: 500. `forbid`: 403. `lose-push`: a push is carried out, but the
 * connection breaks before its answer.
 */
export type GitServerMode = 'answer' | 'hang' | 'error' | 'forbid' | 'lose-push';

export interface GitServerRequest {
  readonly method: string;
  /** With query. */
  readonly url: string;
  /** Carried the right credentials; true for all when the server has no password. */
  readonly authorized: boolean;
  readonly carriedCredentials: boolean;
}

export interface GitServerRepository {
  readonly url: string;
  /** Of the bare repository: tests look into it, and change it behind Slipway's back. */
  readonly path: string;
  /** Refuses every push with this text; null accepts again. */
  refusePushes(message: string | null): Promise<void>;
}

export interface GitServer extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string;
  /** In the order of their arrival. */
  readonly requests: readonly GitServerRequest[];
  mode: GitServerMode;
  /** Sends every request on to this address (of another server, without a slash at the end); null stops that. */
  redirectTo: string | null;
  /** Breaks the connections of all requests that hang. */
  release(): void;
  /** An empty repository whose HEAD is `main`. */
  createRepository(name: string): Promise<GitServerRepository>;
  close(): Promise<void>;
}

/** With a `password`, requests need Basic auth with it; the username is `username`, by default any. */
export async function startGitServer(options: { username?: string; password?: string } = {}): Promise<GitServer> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-git-server-'));
  const requests: GitServerRequest[] = [];
  const state: { mode: GitServerMode; redirectTo: string | null } = { mode: 'answer', redirectTo: null };
  const hanging = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    const authorized = isAuthorized(request, options);
    const { method = '', url = '' } = request;
    requests.push({ method, url, authorized, carriedCredentials: request.headers.authorization !== undefined });
    if (state.mode === 'hang') {
      hanging.add(response.once('close', () => hanging.delete(response)));
      return;
    }
    if (state.redirectTo !== null) return void response.writeHead(302, { location: state.redirectTo + url }).end();
    if (state.mode === 'error') return void response.writeHead(500).end('broken');
    if (!authorized) return void response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    if (state.mode === 'forbid') return void response.writeHead(403).end();
    const loseAnswer = state.mode === 'lose-push' && method === 'POST' && url.endsWith('/git-receive-pack');
    runBackend({ folder, request, response, loseAnswer });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }).then(() => rm(folder, { recursive: true, force: true }));
    return closing;
  };
  return Object.assign(state, {
    url,
    requests,
    release() {
      for (const response of hanging) response.destroy();
    },
    createRepository: (name: string) => createRepository({ folder, url, name }),
    close,
    [Symbol.asyncDispose]: close,
  });
}

function isAuthorized(request: IncomingMessage, { username, password }: { username?: string; password?: string }) {
  if (password === undefined) return true;
  const encoded = /^Basic (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const [, givenName, givenPassword] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
  return givenPassword === password && (username === undefined || givenName === username);
}

async function createRepository(at: { folder: string; url: string; name: string }): Promise<GitServerRepository> {
  const path = join(at.folder, `${at.name}.git`);
  await run('git', ['init', '--quiet', '--bare', '--initial-branch=main', path], { env: gitEnvironment() });
  const hooks = join(path, 'hooks');
  await rm(hooks, { recursive: true, force: true });
  await mkdir(hooks);
  const hook = join(hooks, 'pre-receive');
  return {
    url: `${at.url}/${at.name}.git`,
    path,
    async refusePushes(message) {
      if (message === null) return rm(hook, { force: true });
      await writeFile(join(path, 'refusal.txt'), `${message}\n`);
      await writeFile(hook, '#!/bin/sh\ncat refusal.txt >&2\nexit 1\n');
      await chmod(hook, 0o755);
    },
  };
}

interface Exchange {
  readonly folder: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly loseAnswer: boolean;
}

/** The CGI protocol: headers in the environment, body on stdin, headers and body on stdout. */
function runBackend({ folder, request, response, loseAnswer }: Exchange): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
  const child = spawn('git', ['http-backend'], {
    env: {
      ...gitEnvironment(),
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      // A user name is what allows a push.
      REMOTE_USER: 'test',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      ...(request.headers['content-length'] ? { CONTENT_LENGTH: request.headers['content-length'] } : {}),
      ...(request.headers['content-encoding'] ? { HTTP_CONTENT_ENCODING: request.headers['content-encoding'] } : {}),
      ...(request.headers['git-protocol'] ? { GIT_PROTOCOL: String(request.headers['git-protocol']) } : {}),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(child.stdin);
  child.stdin.on('error', () => {});
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.on('close', () => {
    if (loseAnswer) return void response.destroy();
    const answer = Buffer.concat(output);
    const end = answer.indexOf('\r\n\r\n');
    const headers = answer
      .toString('latin1', 0, end)
      .split('\r\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()] as const);
    const status = headers.find(([name]) => name === 'Status')?.[1] ?? '200';
    response.writeHead(Number.parseInt(status, 10), Object.fromEntries(headers.filter(([name]) => name !== 'Status')));
    response.end(answer.subarray(end + 4));
  });
}

function gitEnvironment() {
  return { PATH: process.env.PATH ?? '', HOME: '/dev/null', GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
}
