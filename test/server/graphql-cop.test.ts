/** The twelve checks of graphql-cop, asked as it asks them: of a server as `serve` opens it, and as `up` does. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '../../schema/index.ts';
import { createApiToken } from '../../src/auth/api-token.ts';
import { openServer } from '../../src/server/http-server.ts';
import { openTestStack } from '../support/orchestrator.ts';

const SETTINGS = [
  { name: 'serve', environment: { SLIPWAY_INTROSPECTION: 'false', SLIPWAY_GRAPHIQL: 'false' }, open: false },
  { name: 'up', environment: { SLIPWAY_INTROSPECTION: 'true', SLIPWAY_GRAPHIQL: 'true' }, open: true },
];
const FORM = 'application/x-www-form-urlencoded';
const repeat = (count: number, part: (index: number) => string) => Array.from({ length: count }, (_, i) => part(i));

describe.each(SETTINGS)('as `$name` opens it', ({ environment, open }) => {
  const opened = new AsyncDisposableStack();
  let url: string;
  let authorization: string;
  beforeAll(async () => {
    const { orchestrator } = opened.use(await openTestStack(environment));
    url = `${opened.use(await openServer({ orchestrator, schema, host: '127.0.0.1', port: 0 })).url}/graphql`;
    const rights = { scopes: ['admin'], projectIds: null, expiresAt: null } as const;
    authorization = `Bearer ${(await createApiToken(orchestrator.db, { name: 'cop', createdBy: 'test', ...rights })).token}`;
  });
  afterAll(() => opened.disposeAsync());

  /** What came back, as text and as JSON where it is some. */
  async function ask(init: RequestInit, path = '') {
    const headers = { authorization, 'content-type': 'application/json', ...(init.headers as Record<string, string>) };
    const response = await fetch(`${url}${path}`, { ...init, headers });
    const text = await response.text();
    return { status: response.status, text, ...(text.startsWith('{') ? JSON.parse(text) : {}) };
  }
  const post = (query: string, headers = {}) =>
    ask({ method: 'POST', headers, body: JSON.stringify({ query, operationName: 'cop' }) });

  it('1: fields are suggested only where the schema is shown', async () => {
    const { errors, text } = await post('query cop { __schema { directive } viewr { id } }');
    expect(errors.length).toBeGreaterThan(0);
    expect(/did you mean/i.test(text)).toBe(open);
  });

  it('2: introspection works only where it is switched on', async () => {
    const { data } = await post('query cop { __schema { types { name fields { name } } } }');
    expect(data !== undefined && data !== null).toBe(open);
  });

  it('3: GraphiQL is there only where it is switched on', async () => {
    for (const path of ['', '/../', '/../graphiql', '/../playground', '/../console', '/../altair']) {
      const { text } = await ask({ method: 'GET', headers: { accept: 'text/html' } }, path);
      if (text.startsWith('<')) expect(open).toBe(true);
    }
  });

  it.each([
    ['4: a query', 'query cop { __typename }'],
    ['5: a mutation', 'mutation cop { __typename }'],
  ])('%s does not come by GET', async (_name, query) => {
    const { status, data } = await ask({ method: 'GET' }, `?query=${encodeURIComponent(query)}`);
    expect({ status, data: data ?? null }).toEqual({ status: 405, data: null });
  });

  it('6: a query does not come as a form', async () => {
    for (const query of ['query cop { __typename }', 'mutation cop { __typename }']) {
      const body = new URLSearchParams({ query }).toString();
      const { status, data } = await ask({ method: 'POST', headers: { 'content-type': FORM }, body });
      expect({ status, data: data ?? null }).toEqual({ status: 415, data: null });
    }
  });

  it('7: 101 aliases are too many', async () => {
    const { status, data } = await post(`query cop { ${repeat(101, (i) => `alias${i}: __typename`).join(' ')} }`);
    expect({ status, data: data ?? null }).toEqual({ status: 400, data: null });
  });

  it('8: there are no batches', async () => {
    const body = JSON.stringify(repeat(10, () => '').map(() => ({ query: 'query cop { __typename }' })));
    const { status, text } = await ask({ method: 'POST', body });
    expect(status).toBe(400);
    expect(text).not.toContain('"__typename"');
  });

  it('9: circular introspection is too deep', async () => {
    const nested = `${'fields { type { '.repeat(8)}fields { name }${' } }'.repeat(8)}`;
    const { data } = await post(`query cop { __schema { types { ${nested} } } }`);
    expect(data ?? null).toBeNull();
  });

  it('10: ten unknown directives do not give ten errors', async () => {
    const { errors } = await post(`query cop { __typename ${'@aa'.repeat(10)} }`);
    expect(errors).toHaveLength(1);
  });

  it('10: 500 times the same field is too much', async () => {
    const { status, data } = await post(`query cop { ${'__typename '.repeat(500)} }`);
    expect({ status, data: data ?? null }).toEqual({ status: 400, data: null });
  });

  it('11: nothing is traced, whoever asks for it', async () => {
    const { extensions } = await post('query cop { __typename }', { 'x-apollo-tracing': '1' });
    expect(Object.keys(extensions)).toEqual(['rateLimit']);
  });

  it('12: no error shows a stack', async () => {
    for (const query of ['query cop { abc }', 'query cop {', 'query cop { build(id: {}) { id } }', 'qwerty']) {
      const { text, errors } = await post(query);
      expect(errors.length).toBeGreaterThan(0);
      expect(text).not.toMatch(/stacktrace|exception|node_modules|\bat .*\.ts|"stack"/i);
    }
  });
});
