import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../support/wait-for.ts';
import { type FixtureServer, openFixtureServer, readAnswer } from './open-fixture-server.ts';

const MEBIBYTE = 1024 * 1024;
const JSON_TYPE = { 'content-type': 'application/json' };

let server: FixtureServer;
beforeAll(async () => {
  server = await openFixtureServer();
});
afterAll(() => server[Symbol.asyncDispose]());

async function send(init: RequestInit, path = '') {
  const headers = { authorization: server.authorization, ...(init.headers as Record<string, string>) };
  return readAnswer(await fetch(`${server.url}${path}`, { ...init, headers }));
}

describe('bodies', () => {
  it.each([
    ['nothing', ''],
    ['no JSON', '{"query": "{ hello'],
    ['null', 'null'],
    ['a number', '5'],
    ['an array', '[{"query":"{ hello }"}]'],
    ['an empty object', '{}'],
    ['a query that is a number', '{"query": 5}'],
    ['variables that are an array', '{"query":"{ hello }","variables":[]}'],
    ['extensions that are a text', '{"query":"{ hello }","extensions":"a"}'],
    ['an unknown key', '{"query":"{ hello }","extra":1}'],
  ])('refuses %s', async (_what, body) => {
    const { status, code, errors } = await send({ method: 'POST', headers: JSON_TYPE, body });
    expect({ status, code }).toEqual({ status: 400, code: 'BAD_REQUEST' });
    expect(errors[0]?.extensions).toEqual({ code: 'BAD_REQUEST' });
  });

  it.each([
    ['application/x-www-form-urlencoded', 'query=mutation{increment}'],
    ['multipart/form-data; boundary=b', '--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{}\r\n--b--'],
    ['text/plain', '{"query":"mutation { increment }"}'],
    ['application/graphql', 'mutation { increment }'],
    ['application/graphql+json', '{"query":"mutation { increment }"}'],
    ['application/json, text/plain', '{"query":"mutation { increment }"}'],
    ['', '{"query":"mutation { increment }"}'],
  ])('does not execute %s', async (type, body) => {
    const before = server.fixture.mutations;
    const { status, code } = await send({ method: 'POST', headers: { 'content-type': type }, body: Buffer.from(body) });
    expect({ status, code }).toEqual({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
    expect(server.fixture.mutations).toBe(before);
  });

  it('does not unpack a compressed body', async () => {
    const body = gzipSync(JSON.stringify({ query: '{ hello }', variables: { name: 'x'.repeat(20 * MEBIBYTE) } }));
    const { status, code } = await send({
      method: 'POST',
      headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
      body,
    });
    expect({ status, code }).toEqual({ status: 415, code: 'UNSUPPORTED_CONTENT_ENCODING' });
  });

  it('takes a prompt of 1 MiB and refuses 2 MiB', async () => {
    const body = (bytes: number) => JSON.stringify({ query: '{ hello }', variables: { name: 'x'.repeat(bytes) } });
    expect((await send({ method: 'POST', headers: JSON_TYPE, body: body(MEBIBYTE) })).data).toEqual({
      hello: 'Hello, world!',
    });
    const { status, code } = await send({ method: 'POST', headers: JSON_TYPE, body: body(2 * MEBIBYTE) });
    expect({ status, code }).toEqual({ status: 413, code: 'REQUEST_ENTITY_TOO_LARGE' });
  });

  it('counts the bytes of a body that does not say its length', async () => {
    const headers = { ...JSON_TYPE, authorization: server.authorization, 'transfer-encoding': 'chunked' };
    const post = request(server.url, { method: 'POST', headers });
    post.on('error', () => {});
    const chunk = 'x'.repeat(64 * 1024);
    post.write('{"query":"');
    for (let sent = 0; sent < 2 * MEBIBYTE; sent += chunk.length) post.write(chunk);
    const [response] = (await once(post, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(413);
    // Whoever goes on sending is cut.
    await once(response.resume(), 'close');
    await waitFor(() => post.socket?.destroyed ?? true);
  });
});

describe('methods and paths', () => {
  it.each(['{ hello }', 'mutation { increment }'])('refuses %s by GET', async (operation) => {
    const query = new URLSearchParams({ query: operation });
    const { status, code, headers } = await send({ method: 'GET' }, `?${query}`);
    expect({ status, code, allow: headers.get('allow') }).toEqual({
      status: 405,
      code: 'METHOD_NOT_ALLOWED',
      allow: 'POST',
    });
    expect(server.fixture.mutations).toBe(0);
  });

  it.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])('refuses %s', async (method) => {
    expect((await send({ method, headers: JSON_TYPE })).status).toBe(405);
  });

  it('refuses variables that are no JSON', async () => {
    const { status, code } = await send({ method: 'GET' }, `?query=${encodeURIComponent('{ hello }')}&variables={`);
    expect({ status, code }).toEqual({ status: 400, code: 'BAD_REQUEST' });
  });

  it('refuses a Host that is none, without a word of ours', async () => {
    const get = request(server.url, { headers: { host: 'a b' } }).end();
    const [response] = (await once(get, 'response')) as [IncomingMessage];
    const body = (await response.toArray()).join('');
    expect(response.statusCode).toBe(400);
    expect(body).not.toContain('at ');
  });
});

describe('tokens', () => {
  it.each([
    ['none', undefined],
    ['an empty one', ''],
    ['another scheme', 'Basic c2xpcHdheTpzbGlwd2F5'],
    ['a malformed one', 'Bearer slipway_1'],
    ['one that nobody has', `Bearer slipway_${'a'.repeat(60)}`],
  ])('refuses %s', async (_what, authorization) => {
    const headers = { ...JSON_TYPE, ...(authorization === undefined ? {} : { authorization }) };
    const body = JSON.stringify({ query: '{ hello }' });
    const answer = await readAnswer(await fetch(server.url, { method: 'POST', headers, body }));
    expect(answer.status).toBe(401);
    expect(answer.code).toBe('UNAUTHENTICATED');
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect(answer.data).toBeUndefined();
  });

  it('tells an anonymous caller nothing about the operation', async () => {
    const answer = await server.post('{', { headers: { authorization: '' } });
    expect(answer.errors).toHaveLength(1);
    expect(answer.code).toBe('UNAUTHENTICATED');
  });

  it('refuses a revoked and an expired one', async () => {
    const { db } = server.stack.orchestrator;
    const { id, authorization } = await server.createToken();
    const headers = { authorization };
    expect((await server.post('{ hello }', { headers })).status).toBe(200);
    await db
      .updateTable('api_tokens')
      .set({ expires_at: new Date(0) })
      .where('id', '=', id)
      .execute();
    expect((await server.post('{ hello }', { headers })).status).toBe(401);
    const revoked = { expires_at: null, revoked_at: new Date() };
    await db.updateTable('api_tokens').set(revoked).where('id', '=', id).execute();
    expect((await server.post('{ hello }', { headers })).status).toBe(401);
  });

  it('gives resolvers the viewer of the token', async () => {
    const { authorization } = await server.createToken();
    const { data } = await server.post('{ viewerName }', { headers: { authorization } });
    expect(data?.viewerName).not.toBe('token 1');
  });
});

describe('errors', () => {
  it('keeps what went wrong inside, under an id', async () => {
    const { data, errors, status } = await server.post('{ defect hello }');
    expect({ status, data }).toEqual({ status: 200, data: { defect: null, hello: 'Hello, world!' } });
    expect(errors).toMatchObject([{ path: ['defect'], extensions: { code: 'INTERNAL' } }]);
    expect(errors[0]?.extensions.errorId).toMatch(/^[0-9a-f-]{36}$/);
    expect(JSON.stringify(errors)).not.toContain('secret');
  });

  it('says of an outage that trying again helps', async () => {
    const { status, errors } = await server.post('{ outage }');
    expect(status).toBe(503);
    expect(errors[0]?.extensions).toEqual({ code: 'UNAVAILABLE', retryable: true });
    expect(JSON.stringify(errors)).not.toContain('10.0.0.1');
  });

  it('passes on what the domain refuses', async () => {
    const { errors } = await server.post('{ forbidden }');
    expect(errors[0]?.extensions).toEqual({ code: 'FORBIDDEN', requiredScope: 'admin' });
  });

  it('gives every error a code', async () => {
    const operations = [
      '{',
      '{ nope }',
      'query ($big: Float!) { hello(big: $big) }',
      'query A { hello } query B { hello }',
    ];
    const codes = await Promise.all(operations.map(async (query) => (await server.post(query)).code));
    expect(codes).toEqual(['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'INVALID_INPUT', 'INVALID_INPUT']);
  });

  it('says 4xx to who asks for application/graphql-response+json', async () => {
    const headers = { accept: 'application/graphql-response+json' };
    const statuses = await Promise.all(
      ['{', '{ nope }', 'query ($n: Int!) { hello(big: $n) }', '{ hello }'].map(
        async (query) => (await server.post(query, { headers })).status,
      ),
    );
    expect(statuses).toEqual([400, 400, 400, 200]);
  });
});

describe('the schema', () => {
  it('is not shown', async () => {
    const hidden = [
      '{ __schema { queryType { name } } }',
      '{ ...S } fragment S on Query { __type(name: "Node") { name } }',
    ];
    for (const query of hidden) expect((await server.post(query)).code).toBe('GRAPHQL_VALIDATION_FAILED');
    expect((await server.post('{ __typename }')).data).toEqual({ __typename: 'Query' });
  });

  it('is not suggested either', async () => {
    const { errors } = await server.post('query ($v: Strin) { helo(nam: $v) node { nam } }');
    expect(errors.length).toBeGreaterThan(0);
    expect(JSON.stringify(errors)).not.toContain('Did you mean');
  });
});
