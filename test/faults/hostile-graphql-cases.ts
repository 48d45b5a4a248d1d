/** H19 to H36, H47, H48, H139 and H140: documents, tokens and arguments. */
import { v7 } from 'uuid';
import { type HostileCase, type HostileTable, type HostileTarget, post } from './hostile-frame.ts';

const repeat = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ');
const TOO_COMPLEX = { status: 400, code: 'QUERY_TOO_COMPLEX' };
const TOO_LONG = { status: 400, code: 'TOO_MANY_TOKENS' };
const INVALID = { code: 'GRAPHQL_VALIDATION_FAILED' };
const FIND_BUILD = 'build_0199f3a0000070008000000000000000';

function query(h: number, name: string, source: string, expected: object): HostileCase {
  return { h, name, send: (target) => post(target, { query: source }), expected };
}

const nested = (depth: number) => `{ build(id: "x") ${'{ retryOf '.repeat(depth - 2)}{ id }${' }'.repeat(depth - 2)} }`;
const tower = (height: number) =>
  `{ ...F0 } ${repeat(height, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)}
   fragment F${height} on Query { viewer { id } }`;

const documents: readonly HostileCase[] = [
  query(19, '100 aliases', `{ ${repeat(100, (i) => `a${i}: viewer { id }`)} }`, TOO_COMPLEX),
  query(20, '101 aliases of __typename', `{ ${repeat(101, (i) => `a${i}: __typename`)} }`, TOO_COMPLEX),
  query(21, '10,000 fields', `{ ${'__typename '.repeat(10_000)} }`, TOO_LONG),
  query(21, '500 times the same field', `{ ${'__typename '.repeat(500)} }`, TOO_COMPLEX),
  query(22, '50 directives', `{ viewer { id ${'@include(if: true) '.repeat(50)} } }`, TOO_COMPLEX),
  query(22, '10 directives that nobody knows', `{ __typename ${'@aa'.repeat(10)} }`, TOO_COMPLEX),
  query(23, '13 levels', nested(13), TOO_COMPLEX),
  query(24, '5,000 levels', nested(5_000), TOO_LONG),
  query(25, 'fragments in a circle', '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }', INVALID),
  query(26, '2^16 fields by fragments', tower(16), TOO_COMPLEX),
  query(26, '2^150 fields by fragments', tower(150), TOO_COMPLEX),
  query(
    29,
    '14 mutations',
    `mutation { ${repeat(14, (i) => `m${i}: cancelBuild(input: { id: "x" }) { __typename }`)} }`,
    {
      status: 400,
      code: 'TOO_MANY_MUTATIONS',
    },
  ),
  query(
    30,
    '2,000 operations',
    repeat(2_000, (i) => `query Q${i} { viewer { id } }`),
    TOO_LONG,
  ),
  {
    h: 31,
    name: '500 unknown fields',
    send: async (target) => {
      const { errors, code } = await post(target, { query: `{ ${repeat(500, (i) => `nope${i}`)} }` });
      return { code, errors: errors.length };
    },
    expected: { ...INVALID, errors: 10 },
  },
  {
    h: 32,
    name: 'fields that are nearly there',
    send: async (target) => {
      const { text, code } = await post(target, { query: 'query ($v: Strin) { vewer { nam } bild(i: "x") { i } }' });
      return { code, suggests: /did you mean/i.test(text), names: /viewer|build\b/.test(text) };
    },
    expected: { ...INVALID, suggests: false, names: false },
  },
  query(33, 'the schema', '{ __schema { types { name } } }', INVALID),
  query(33, 'a type', '{ __type(name: "Build") { name } }', INVALID),
  query(33, 'the schema by a named fragment', '{ ...S } fragment S on Query { __schema { types { name } } }', INVALID),
  query(33, 'a type under another name', '{ a: __type(name: "Build") { fields { name } } }', INVALID),
];

const pages: readonly HostileCase[] = [
  query(
    27,
    '100 x 100 x 100 items',
    '{ projects(first: 100) { nodes { builds(first: 100) { nodes { id } } } } }',
    TOO_COMPLEX,
  ),
  ...[-1, 101, 2_147_483_647].map((first) =>
    query(28, `a page of ${first}`, `{ builds(first: ${first}) { nodes { id } } }`, {
      code: 'INVALID_INPUT',
      errors: [{ extensions: { issues: [{ path: ['first'] }] } }],
    }),
  ),
  query(28, 'a page of 1e9', '{ builds(first: 1e9) { nodes { id } } }', INVALID),
  query(28, 'a page of NaN', '{ builds(first: NaN) { nodes { id } } }', INVALID),
];

async function lostToken(target: HostileTarget, how: 'revoked_at' | 'expires_at'): Promise<unknown> {
  const { id, authorization } = await target.createToken();
  const at = new Date(Date.now() - 1_000);
  await target.db
    .updateTable('api_tokens')
    .set({ [how]: at })
    .where('id', '=', id)
    .execute();
  return post(target, { query: '{ viewer { id } }' }, { headers: { authorization } });
}

const UNAUTHENTICATED = { status: 401, code: 'UNAUTHENTICATED', headers: { 'www-authenticate': 'Bearer' } };
const tokens: readonly HostileCase[] = [
  ...[
    '',
    'Bearer',
    'Bearer slipway_1',
    `Bearer slipway_${'a'.repeat(60)}`,
    'Basic YTpi',
    `Bearer ${'x'.repeat(8_000)}`,
  ].map((authorization) => ({
    h: 34,
    name: `the token ${JSON.stringify(authorization.slice(0, 30))}`,
    send: (target: HostileTarget) => post(target, { query: '{ viewer { id } }' }, { headers: { authorization } }),
    expected: UNAUTHENTICATED,
  })),
  { h: 35, name: 'a revoked token', send: (target) => lostToken(target, 'revoked_at'), expected: UNAUTHENTICATED },
  { h: 35, name: 'an expired token', send: (target) => lostToken(target, 'expires_at'), expected: UNAUTHENTICATED },
  {
    h: 36,
    name: 'a token of another project',
    send: async (target) => {
      const { authorization } = await target.createToken({ scopes: ['builds:read'], projectIds: [v7()] });
      const source = `{ build(id: "${FIND_BUILD}") { id } builds { totalCount } }`;
      return post(target, { query: source }, { headers: { authorization } });
    },
    expected: { status: 200, data: { build: null, builds: { totalCount: 0 } } },
  },
];

const FAR = ['+275760-09-13T00:00:00Z', '-271821-04-20T00:00:00Z', 'infinity', '-infinity', '9999999-01-01', ''];
const METACHARACTERS = [`' or 1=1 --`, `"; drop table projects; --`, '%', '_', `\\'`, '$1', `x') union select 1--`];
const statistics: readonly HostileCase[] = [
  ...FAR.map((since) => ({
    h: 139,
    name: `statistics since ${JSON.stringify(since)}`,
    send: async (target: HostileTarget) => {
      const variables = { filter: { createdAt: { from: since } } };
      const source = 'query ($filter: BuildStatsFilter) { buildStats(filter: $filter) { total } }';
      const { errors, status } = await post(target, { query: source, variables });
      return { refused: errors.length > 0 && status < 500, code: errors[0]?.extensions.code };
    },
    expected: { refused: true, code: 'INVALID_INPUT' },
  })),
  ...METACHARACTERS.map((text) => ({
    h: 140,
    name: `the filter ${text}`,
    send: async (target: HostileTarget) => {
      const variables = { filter: { label: [{ key: 'k', value: text }], branch: text } };
      const source = 'query ($filter: BuildFilter) { builds(filter: $filter) { totalCount nodes { id } } }';
      return post(target, { query: source, variables });
    },
    expected: { status: 200, data: { builds: { totalCount: 0, nodes: [] } } },
  })),
];

export const GRAPHQL_TABLES: readonly HostileTable[] = [
  { noun: 'documents', cases: documents },
  { noun: 'pages', cases: pages },
  { noun: 'tokens', cases: tokens },
  { noun: 'statistics and filters', cases: statistics },
];
