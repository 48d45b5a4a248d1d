/** The REST API of a stack of its own. Every answer is checked against what the OpenAPI document promises of it. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'vitest';
import { schema } from '../../../schema/index.ts';
import { createApiToken } from '../../../src/auth/api-token.ts';
import type { Scope } from '../../../src/auth/scope.ts';
import { type OpenServer, openServer } from '../../../src/server/http-server.ts';
import type { ServerLimits } from '../../../src/server/limits.ts';
import { createDocumentation } from '../../../src/server/rest/openapi.ts';
import { ENDPOINTS } from '../../../src/server/rest/rest-routes.ts';
import { openTestStack, type TestStack } from '../../support/orchestrator.ts';

type Json = ReturnType<typeof JSON.parse>;

export interface RestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

interface CallOptions {
  /** Sent as JSON; a string as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Null: without a token. */
  readonly authorization?: string | null;
}

export interface Rest extends AsyncDisposable {
  readonly stack: TestStack;
  readonly server: OpenServer;
  createToken(options: {
    scopes: readonly Scope[];
    projectIds?: readonly string[];
  }): Promise<{ id: string; authorization: string }>;
  /** `GET /builds/x` */
  call(route: string, options?: CallOptions): Promise<RestAnswer>;
  graphql(query: string, variables?: Json): Promise<Json>;
}

const documented = createDocumentation(schema, ENDPOINTS)().then((made) => {
  const document = JSON.parse(JSON.stringify(made).replaceAll('"#/', '"http://slipway/#/')) as Json;
  const ajv = new Ajv2020({ strict: false });
  for (const format of ['date-time', 'uuid']) ajv.addFormat(format, true);
  ajv.addSchema({ $id: 'http://slipway/', components: document.components });
  return { ajv, document };
});

export async function openRest(limits: Partial<ServerLimits> = {}, environment = {}): Promise<Rest> {
  await using opened = new AsyncDisposableStack();
  const stack = opened.use(await openTestStack({ SLIPWAY_LOG_LEVEL: 'silent', ...environment }));
  const { orchestrator } = stack;
  const server = opened.use(await openServer({ orchestrator, schema, host: '127.0.0.1', port: 0, limits }));
  const createToken: Rest['createToken'] = async ({ scopes, projectIds = null }) => {
    const rights = { scopes, projectIds, expiresAt: null, createdBy: 'test' };
    const { id, token } = await createApiToken(orchestrator.db, { name: 'test', ...rights });
    return { id, authorization: `Bearer ${token}` };
  };
  const { authorization: admin } = await createToken({ scopes: ['admin'] });
  const resources = opened.move();
  return {
    stack,
    server,
    createToken,
    async call(route, { body, headers = {}, authorization = admin } = {}) {
      const [method = '', path = ''] = route.split(' ');
      const response = await fetch(`${server.url}${path}`, {
        method,
        headers: {
          ...(authorization !== null && { authorization }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const answer = {
        status: response.status,
        headers: response.headers,
        body: text === '' ? null : JSON.parse(text),
      };
      if (path !== '/openapi.json') await check(method, path, answer);
      return answer;
    },
    async graphql(query, variables = {}) {
      const response = await fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { authorization: admin, 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables }),
      });
      const { data, errors } = (await response.json()) as Json;
      if (errors) throw new Error(JSON.stringify(errors));
      return data;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** As the document says of this route: its status is there, and its body is valid. */
async function check(sent: string, path: string, { status, headers, body }: RestAnswer): Promise<void> {
  if (status >= 400 && sent !== 'HEAD')
    expect(body).toMatchObject({ status, code: expect.any(String), traceId: expect.stringMatching(/^[0-9a-f]{32}$/) });
  if (status >= 400) expect(headers.get('content-type')).toBe('application/problem+json');
  const method = (sent === 'HEAD' ? 'GET' : sent).toLowerCase();
  const place = new URL(path, 'http://a').pathname;
  const endpoint = ENDPOINTS.find((one) => new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(place));
  if (!endpoint || status === 405) {
    expect(status === 404 || status === 405, `${sent} ${path} answered ${status}`).toBe(true);
    return;
  }
  const { ajv, document } = await documented;
  const response = document.paths[endpoint.path][method].responses[status];
  expect(response, `${sent} ${path} answered ${status}`).toBeDefined();
  const content = response.content?.[status >= 400 ? 'application/problem+json' : 'application/json'];
  if (!content || sent === 'HEAD') return expect(body).toBeNull();
  const valid = ajv.compile(content.schema);
  expect({ valid: valid(body), errors: valid.errors }).toEqual({ valid: true, errors: null });
}
