import { type DocumentNode, parse, validateExecutionArgs } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '../../schema/index.ts';
import { measureCost } from '../../src/server/measure-cost.ts';
import { type AnsweredError, type FixtureServer, openFixtureServer } from './open-fixture-server.ts';

let server: FixtureServer;
beforeAll(async () => {
  server = await openFixtureServer({
    limits: { operationMs: 200 },
    environment: { SLIPWAY_INTROSPECTION: 'true' },
  });
});
afterAll(() => server[Symbol.asyncDispose]());

const repeat = (count: number, part: (index: number) => string) => Array.from({ length: count }, (_, i) => part(i));
const nested = (depth: number) => `{ node ${'{ self '.repeat(depth - 2)}{ name }${' }'.repeat(depth - 2)} }`;
const tower = (height: number) =>
  `{ ...F0 } ${repeat(height, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`).join(' ')}
   fragment F${height} on Query { hello }`;
/** Each level doubles what the level above selects, and no level is deep. */
const wide = (height: number) =>
  `{ node { ...F0 } } ${repeat(height, (i) => `fragment F${i} on Node { a: self { ...F${i + 1} } b: self { ...F${i + 1} } }`).join(' ')}
   fragment F${height} on Node { name }`;

const unused = (field: string, times: number) => `fragment F on Node { ${field.repeat(times)} }`;

const TOO_MUCH: readonly (readonly [what: string, code: string, query: string])[] = [
  ['13 levels', 'QUERY_TOO_COMPLEX', nested(13)],
  ['5,000 levels', 'TOO_MANY_TOKENS', nested(5_000)],
  ['13 levels through a fragment', 'QUERY_TOO_COMPLEX', `{ node { ...F } } fragment F on Node ${nested(13)}`],
  ['31 aliases', 'QUERY_TOO_COMPLEX', `{ ${repeat(31, (i) => `a${i}: hello`).join(' ')} }`],
  ['101 aliases of __typename', 'QUERY_TOO_COMPLEX', `{ ${repeat(101, (i) => `a${i}: __typename`).join(' ')} }`],
  ['50 directives', 'QUERY_TOO_COMPLEX', `{ hello ${'@include(if: true) '.repeat(50)} }`],
  ['6 unknown directives', 'QUERY_TOO_COMPLEX', `query ${'@x '.repeat(6)} { hello }`],
  ['the same field 12 times', 'QUERY_TOO_COMPLEX', `{ ${'hello '.repeat(12)} }`],
  [
    '1,001 fields',
    'QUERY_TOO_COMPLEX',
    `{ ...A } fragment A on Query { ${'...B '.repeat(91)} } fragment B on Query { ${'hello '.repeat(11)} }`,
  ],
  ['10,000 fields', 'TOO_MANY_TOKENS', `{ ${'hello '.repeat(10_000)} }`],
  ['2^16 fields by fragments', 'QUERY_TOO_COMPLEX', tower(16)],
  ['2^150 fields by fragments', 'QUERY_TOO_COMPLEX', tower(150)],
  ['2^10 nodes by fragments', 'QUERY_TOO_COMPLEX', wide(10)],
  [
    'the same field 480 times where nothing spreads it',
    'QUERY_TOO_COMPLEX',
    `{ hello } ${unused('self { name } ', 480)}`,
  ],
  ['2^16 fields where nothing spreads them', 'QUERY_TOO_COMPLEX', tower(16).replace('{ ...F0 }', '{ hello }')],
  ['41 inline fragments', 'QUERY_TOO_COMPLEX', `{ ${'... { hello } '.repeat(41)} }`],
  [
    '41 fragments',
    'QUERY_TOO_COMPLEX',
    `{ ${repeat(41, (i) => `...F${i}`).join(' ')} } ${repeat(41, (i) => `fragment F${i} on Query { hello }`).join(' ')}`,
  ],
  ['14 mutations', 'TOO_MANY_MUTATIONS', `mutation { ${repeat(14, (i) => `m${i}: increment`).join(' ')} }`],
  [
    '6 mutations by fragments',
    'TOO_MANY_MUTATIONS',
    'mutation { ...A ...A } fragment A on Mutation { a: increment b: increment c: increment }',
  ],
  ['2,000 operations', 'TOO_MANY_TOKENS', repeat(2_000, (i) => `query Q${i} { hello }`).join(' ')],
  ['501 comments', 'TOO_MANY_TOKENS', `${'#\n'.repeat(501)} { hello }`],
];

/** The first result of an operation, however it comes. */
type Transport = (query: string) => Promise<{ readonly errors: readonly AnsweredError[]; readonly data?: unknown }>;

const overHttp: Transport = (query) => server.post(query);

const overEvents: Transport = async (query) => {
  const response = await fetch(server.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: server.authorization,
    },
    body: JSON.stringify({ query }),
  });
  const [, data] = /^data: (.+)$/m.exec(await response.text()) ?? [];
  return { errors: [], ...JSON.parse(data ?? '{}') };
};

const overWebSocket: Transport = async (query) => {
  const socket = await server.connect();
  try {
    socket.send({ type: 'subscribe', id: '1', payload: { query } });
    const { type, payload } = await socket.receive();
    return type === 'error' ? { errors: payload as AnsweredError[] } : { errors: [], ...(payload as object) };
  } finally {
    socket.socket.terminate();
  }
};

const TRANSPORTS = [
  ['HTTP', overHttp],
  ['SSE', overEvents],
  ['WebSocket', overWebSocket],
] as const;

describe.each(TRANSPORTS)('over %s', (_name, run) => {
  it.each(TOO_MUCH)('refuses %s', async (_what, code, query) => {
    const mutations = server.fixture.mutations;
    const started = performance.now();
    const { errors, data } = await run(query);
    const took = performance.now() - started;
    expect(errors.map((error) => error.extensions.code)).toEqual([code]);
    expect(data ?? null).toBeNull();
    expect(server.fixture.mutations).toBe(mutations);
    if (took > 100) console.log(`${_name}: ${_what} took ${took.toFixed()} ms`);
  });

  it('refuses a fragment that spreads itself', async () => {
    const { errors } = await run('{ ...A } fragment A on Query { hello ...B } fragment B on Query { ...A }');
    expect(errors.map((error) => error.extensions.code)).toContain('GRAPHQL_VALIDATION_FAILED');
  });

  it('reports at most ten errors', async () => {
    const { errors } = await run(`{ ${repeat(500, (i) => `nope${i}`).join(' ')} }`);
    expect(errors).toHaveLength(10);
  });

  it('gives up an operation that takes too long', async () => {
    const { errors } = await run('{ never }');
    expect(errors).toMatchObject([{ extensions: { code: 'TIMEOUT', retryable: true } }]);
  });

  it('executes what keeps the limits', async () => {
    expect((await run(nested(12))).errors).toEqual([]);
    expect((await run(`{ ${repeat(30, (i) => `a${i}: hello`).join(' ')} }`)).errors).toEqual([]);
    expect((await run(`mutation { ${repeat(5, (i) => `m${i}: increment`).join(' ')} }`)).errors).toEqual([]);
    expect((await run(`{ ${'hello '.repeat(11)} }`)).errors).toEqual([]);
    expect((await run(`{ ${'hello @include(if: true) '.repeat(5)} }`)).errors).toEqual([]);
  });
});

it.each([
  ['SSE', overEvents],
  ['WebSocket', overWebSocket],
] as const)(
  'refuses a subscription over %s whose events would be too complex, before there are any',
  async (_name, run) => {
    const lists = 'nodes { children { children { children { name } } } }';
    const { errors, data } = await run(`subscription S { idle { ${lists} } }`);
    expect(errors).toMatchObject([{ extensions: { code: 'QUERY_TOO_COMPLEX', limit: 5_000 } }]);
    expect(data ?? null).toBeNull();
    expect(server.fixture.openSources).toBe(0);
  },
);

it('answers 400, whatever the client accepts', async () => {
  for (const [, , query] of TOO_MUCH) expect((await server.post(query)).status).toBe(400);
});

it('answers 503 to who waited in vain', async () => {
  expect((await server.post('{ never }')).status).toBe(503);
});

it('costs what its variables ask for each time, and nothing where they do not fit', () => {
  const costOf = (document: DocumentNode, variableValues: Record<string, unknown>) => {
    const args = validateExecutionArgs({ schema, document, variableValues });
    return measureCost('schema' in args ? args : null);
  };
  const list = parse('query ($first: Int) { ...L } fragment L on Query { builds(first: $first) { nodes { id } } }');
  const costs = [1, 50, 1, 'many'].map((first) => costOf(list, { first }).complexity);
  expect(costs).toEqual([2, 51, 2, 0]);
  const start = parse('mutation ($input: CancelBuildInput!) { cancelBuild(input: $input) { __typename } }');
  const fitting = costOf(start, { input: { id: 'x' } });
  expect(fitting.points).toBe(1 + fitting.complexity + 10);
  expect(costOf(start, { input: { id: 'y' } })).toEqual(fitting);
  expect(costOf(start, { input: {} })).toEqual({ complexity: 0, points: 1 });
});
