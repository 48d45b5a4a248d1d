/** What is answered without Yoga has the same bytes as with it: status, headers and body. */
import fc from 'fast-check';
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '../../schema/index.ts';
import { openServer } from '../../src/server/http-server.ts';
import { GRAPHQL_TABLES } from '../faults/hostile-graphql-cases.ts';
import { HTTP_TABLES } from '../faults/hostile-http-cases.ts';
import { type ComparedRequest, type Comparison, openComparison } from './compare-answers.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';

const MEBIBYTE = 1024 * 1024;
const ENVIRONMENT = { SLIPWAY_RATE_LIMIT: '0', SLIPWAY_REFUSED_PER_MINUTE: '0' };

const opened = new AsyncDisposableStack();
let server: FixtureServer;
/** Of the fixture schema, and of the real one. */
let small: Comparison;
let whole: Comparison;
beforeAll(async () => {
  server = opened.use(await openFixtureServer({ environment: ENVIRONMENT }));
  const { orchestrator } = server.stack;
  const another = { orchestrator, host: '127.0.0.1', port: 0 };
  const open = async (options: Parameters<typeof openServer>[0]) => opened.use(await openServer(options)).url;
  const { schema: fixture } = server.fixture;
  small = opened.use(
    await openComparison(await open({ ...another, schema: fixture, yogaOnly: true }), server.server.url),
  );
  whole = opened.use(
    await openComparison(await open({ ...another, schema, yogaOnly: true }), await open({ ...another, schema })),
  );
});
afterAll(() => opened.disposeAsync());

const json = (body: unknown) => [JSON.stringify(body)];

/** Names that are given anew replace those of an ordinary request; null leaves one out. */
function headersOf(changes: Readonly<Record<string, string | null>> = {}): string[] {
  const all = {
    host: 'localhost',
    'content-type': 'application/json',
    authorization: server.authorization,
    ...changes,
  };
  return Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [name, value]));
}

async function expectSame(sent: Partial<ComparedRequest>): Promise<string> {
  const { first, second } = await small.send({ headers: headersOf(), body: [], ...sent });
  expect(second).toBe(first);
  return second;
}

const OPERATIONS = [
  '{ hello }',
  '{ hello(name: "😀 é \\u0007") }',
  '{ a: hello node { name self { name } children { name } } }',
  '{ defect hello }',
  '{ outage }',
  '{ outage defect }',
  '{ forbidden hello }',
  '{ __typename }',
  '{ __schema { types { name } } }',
  '{',
  '{ nope }',
  '{ hello(name: 5) nope }',
  'query ($n: Float!) { hello(big: $n) }',
  'query A { hello } query B { viewerName }',
  `{ ${'hello '.repeat(40)} }`,
  'mutation { a: increment b: increment c: increment d: increment e: increment f: increment }',
  'fragment F on Query { hello }',
  'subscription { count(to: 3) { number text } }',
  'subscription { refused { number } }',
  'subscription { defect { number } }',
  'subscription { breaks { number } }',
  'query subscription { hello }',
];
const ACCEPTS = [
  null,
  '',
  '*/*',
  'application/json',
  'application/graphql-response+json',
  'application/graphql-response+json, application/json;q=0.9',
  'application/json; charset=utf-8, text/event-stream',
  'application/json; charset=latin1, application/graphql-response+json',
  'Application/*',
  '*/json',
  'text/event-stream',
  'text/html, */*;q=0.1',
  'text/html',
  'multipart/mixed',
  ',;/',
];

describe('has the same answer as Yoga', () => {
  it.each(OPERATIONS)('to %s', async (query) => {
    const accepts = [null, 'application/graphql-response+json', 'text/event-stream'];
    for (const accept of accepts) await expectSame({ headers: headersOf({ accept }), body: json({ query }) });
  });

  it.each(ACCEPTS)('to who accepts %s', async (accept) => {
    const queries = ['{ hello }', '{ nope }', 'subscription { count(to: 1) { number } }'];
    for (const query of queries) await expectSame({ headers: headersOf({ accept }), body: json({ query }) });
  });

  it('to what JSON cannot write', async () => {
    const headers = headersOf({ accept: 'application/graphql-response+json' });
    expect(await expectSame({ headers, body: json({ query: '{ unwritable }' }) })).toMatch(/^500 /);
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{"query": "{ hello'],
    ['a mark of the byte order', '\ufeff{"query":"{ hello }"}'],
    ['white space around', ' \n{"query":"{ hello }"}\t'],
    ['null', 'null'],
    ['a number', '5'],
    ['a text', '"{ hello }"'],
    ['an array', '[{"query":"{ hello }"}]'],
    ['an array that is empty', '[]'],
    ['an empty object', '{}'],
    ['a query that is null', '{"query":null,"extra":1}'],
    ['a query that is a number', '{"query":5}'],
    ['a query that is an array', '{"query":["{ hello }"]}'],
    ['a query that is empty', '{"query":""}'],
    ['a name that is a number', '{"query":"{ hello }","operationName":1}'],
    ['a name that nothing has', '{"query":"query A { hello }","operationName":"B"}'],
    ['a name that is empty', '{"query":"query A { hello }","operationName":""}'],
    ['variables that are an array', '{"query":"{ hello }","variables":[]}'],
    ['variables that are false', '{"query":"{ hello }","variables":false}'],
    ['variables that are null', '{"query":"{ hello }","variables":null}'],
    ['extensions that are a text', '{"query":"{ hello }","extensions":"a"}'],
    ['an unknown member', '{"query":"{ hello }","extra":1}'],
    ['an unknown member that is null', '{"query":"{ hello }","extra":null}'],
    ['a member of every object', '{"query":"{ hello }","__proto__":{"a":1}}'],
    ['members that come twice', '{"query":"{ nope }","query":"{ hello }"}'],
    ['a persisted document', '{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"a"}}}'],
    ['half a character', Buffer.from('{"query":"{ hello }","variables":{"a":"\u00e9"}}', 'latin1')],
  ])('to a body of %s, at once and in parts', async (_what, body) => {
    await expectSame({ body: [body] });
    const bytes = Buffer.from(body);
    const length = { 'content-length': String(bytes.length) };
    const parts = [bytes.subarray(0, 3), bytes.subarray(3, 11), bytes.subarray(11)];
    await expectSame({ headers: headersOf({ ...length, accept: 'application/graphql-response+json' }), body: parts });
  });

  it.each([MEBIBYTE, 1.5 * MEBIBYTE + 1, 2 * MEBIBYTE])('to a body of %d bytes', async (bytes) => {
    const frame = JSON.stringify({ query: '{ hello }', variables: { name: '' } }).length;
    const body = JSON.stringify({ query: '{ hello }', variables: { name: 'x'.repeat(bytes - frame) } });
    await expectSame({ headers: headersOf({ 'content-length': String(bytes) }), body: [body] });
    await expectSame({ headers: headersOf({ 'transfer-encoding': 'chunked' }), body: [body] });
  });

  it.each([
    { 'content-type': null },
    { 'content-type': '' },
    { 'content-type': 'application/json; charset=utf-8' },
    { 'content-type': 'application/json;charset=latin1' },
    { 'content-type': 'application/json ' },
    { 'content-type': 'application/json ;a=b' },
    { 'content-type': 'Application/JSON' },
    { 'content-type': 'application/json, text/plain' },
    { 'content-type': 'application/json;a=1,2' },
    { 'content-type': 'application/graphql+json' },
    { 'content-type': 'text/plain' },
    { 'content-encoding': 'gzip' },
    { 'content-encoding': 'identity' },
    { 'content-encoding': '' },
    { authorization: null },
    { authorization: '' },
    { authorization: 'Basic YTpi' },
    { authorization: `Bearer slipway_${'a'.repeat(60)}` },
    { origin: 'http://localhost' },
    { origin: 'https://elsewhere.example' },
    { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
    { traceparent: 'x' },
    { 'x-forwarded-for': '10.0.0.1', cookie: 'a=b' },
    { expect: '100-continue' },
    { connection: 'close' },
    { connection: 'keep-alive' },
  ])('to headers %o', async (changes: Record<string, string | null>) => {
    for (const query of ['{ hello }', '{ nope }'])
      await expectSame({ headers: headersOf(changes), body: json({ query }) });
  });

  it.each(['accept', 'authorization', 'content-type', 'traceparent', 'origin'])('to %s twice', async (name) => {
    const headers = [...headersOf(), name, 'application/json', name, '*/*'];
    await expectSame({ headers, body: json({ query: '{ hello }' }) });
  });

  it.each(['GET', 'PUT', 'OPTIONS', 'HEAD'])('to %s', async (method) => {
    await expectSame({ method, path: '/graphql?query={hello}' });
  });

  it.each(['/graphql?', '/graphql?query={nope}', '/graphql/'])('by %s', async (path) => {
    await expectSame({ path, body: json({ query: '{ hello }' }) });
  });

  it('to any document, variables and headers', { timeout: 60_000 }, async () => {
    const field = fc.constantFrom(
      'hello',
      'node { name }',
      'defect',
      'forbidden',
      'nope',
      '__typename',
      'hello(name: $a)',
    );
    const document = fc
      .tuple(
        fc.constantFrom('', 'query ', 'query A ', 'query A($a: String) ', 'query ($a: String!) ', 'mutation '),
        fc.array(field, { maxLength: 4 }),
      )
      .map(([head, fields]) => `${head}{ ${fields.join(' ')} }`);
    const body = fc.record(
      {
        query: fc.oneof({ weight: 8, arbitrary: document }, fc.string(), fc.jsonValue()),
        variables: fc.oneof(fc.record({ a: fc.jsonValue() }), fc.jsonValue()),
        operationName: fc.oneof(fc.constantFrom('A', 'B', ''), fc.jsonValue()),
        extra: fc.jsonValue(),
      },
      { requiredKeys: ['query'] },
    );
    const text = fc.oneof(
      { weight: 6, arbitrary: body.map((value) => JSON.stringify(value)) },
      fc.tuple(body, fc.nat(60)).map(([value, end]) => JSON.stringify(value).slice(0, end)),
    );
    const accept = fc.oneof(fc.constantFrom(...ACCEPTS), fc.stringMatching(/^[a-z*/;,= -]{0,20}$/));
    const sent = fc.tuple(text, accept, fc.constantFrom('application/json', 'application/json; charset=utf-8'));
    await fc.assert(
      fc.asyncProperty(sent, async ([source, accepted, type]) => {
        await expectSame({ headers: headersOf({ accept: accepted, 'content-type': type }), body: [source] });
      }),
      { numRuns: 100 },
    );
  });
});

describe('has the same answer as Yoga over the real schema', () => {
  it('to every audit of graphql-http', async () => {
    const audits = serverAudits({
      url: () => `${whole.origin}/graphql`,
      fetchFn: (url: string, init: RequestInit = {}) =>
        fetch(url, {
          ...init,
          headers: { ...(init.headers as Record<string, string>), authorization: server.authorization },
        }),
    });
    for (const audit of audits) await audit.fn();
    expect(whole.differences).toEqual([]);
    expect(whole.count).toBeGreaterThanOrEqual(audits.length);
  });

  it.each([...HTTP_TABLES, ...GRAPHQL_TABLES])('to hostile $noun', { timeout: 60_000 }, async ({ cases }) => {
    const target = {
      ...{ origin: whole.origin, url: `${whole.origin}/graphql`, authorization: server.authorization },
      ...{ db: server.stack.orchestrator.db, pid: process.pid, createToken: server.createToken },
    };
    // The door waits for the end of a body.
    for (const { send, name } of cases) if (!name.includes('does not say its length')) await send(target);
    expect(whole.differences).toEqual([]);
  });
});
