/** The server on a database of its own, with the fixture schema, and the ways to call it. */
import { createApiToken } from '../../src/auth/api-token.ts';
import type { Scope } from '../../src/auth/scope.ts';
import { type OpenServer, openServer } from '../../src/server/http-server.ts';
import type { ServerLimits } from '../../src/server/limits.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { createFixture, type Fixture } from './fixture-schema.ts';
import { openSocket, type ProtocolSocket } from './protocol-socket.ts';

export interface FixtureServer extends AsyncDisposable {
  readonly stack: TestStack;
  readonly server: OpenServer;
  readonly fixture: Fixture;
  /** `http://127.0.0.1:1234/graphql` */
  readonly url: string;
  /** `Bearer slipway_…` of a token with every right. */
  readonly authorization: string;
  /** Another one, also usable for revoking. */
  createToken(options?: TokenOptions): Promise<{ readonly id: string; readonly authorization: string }>;
  /** POST of an operation. */
  post(query: string, options?: PostOptions): Promise<Answer>;
  /** A WebSocket after `connection_ack`. */
  connect(authorization?: string): Promise<ProtocolSocket>;
}

interface TokenOptions {
  readonly scopes?: readonly Scope[];
  readonly projectIds?: readonly string[];
  readonly expiresAt?: Date;
}

interface PostOptions {
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface AnsweredError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly data: Readonly<Record<string, unknown>> | null | undefined;
  readonly errors: readonly AnsweredError[];
  /** Code of the first error. */
  readonly code: unknown;
}

interface FixtureServerOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly limits?: Partial<ServerLimits>;
}

export async function openFixtureServer({ environment, limits }: FixtureServerOptions = {}): Promise<FixtureServer> {
  await using opened = new AsyncDisposableStack();
  const stack = opened.use(await openTestStack({ SLIPWAY_LOG_LEVEL: 'silent', ...environment }));
  const { orchestrator } = stack;
  const fixture = createFixture();
  const server = opened.use(
    await openServer({ orchestrator, schema: fixture.schema, host: '127.0.0.1', port: 0, ...(limits && { limits }) }),
  );
  const url = `${server.url}/graphql`;
  let count = 0;

  async function createToken({ scopes = ['admin'], projectIds, expiresAt }: TokenOptions = {}) {
    count += 1;
    const { id, token } = await createApiToken(orchestrator.db, {
      name: `token ${count}`,
      scopes,
      projectIds: projectIds ?? null,
      expiresAt: expiresAt ?? null,
      createdBy: 'test',
    });
    return { id, authorization: `Bearer ${token}` };
  }

  const { authorization } = await createToken();
  const resources = opened.move();
  return {
    stack,
    server,
    fixture,
    url,
    authorization,
    createToken,
    async post(query, { variables, headers } = {}) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization, ...headers },
        body: JSON.stringify({ query, variables }),
      });
      return readAnswer(response);
    },
    async connect(token = authorization) {
      const socket = await openSocket(url);
      socket.send({ type: 'connection_init', payload: { authorization: token } });
      const ack = await socket.receive();
      if (ack.type !== 'connection_ack') throw new Error(`expected connection_ack, got ${ack.type}`);
      return socket;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export async function readAnswer(response: Response): Promise<Answer> {
  const body = (await response.json()) as Pick<Answer, 'data'> & { errors?: readonly AnsweredError[] };
  const errors = body.errors ?? [];
  return {
    status: response.status,
    headers: response.headers,
    data: body.data,
    errors,
    code: errors[0]?.extensions.code,
  };
}
