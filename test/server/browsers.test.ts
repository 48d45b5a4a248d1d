import { getIntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FixtureServer, openFixtureServer, readAnswer } from './open-fixture-server.ts';
import { openSocket } from './protocol-socket.ts';

const FRIEND = 'https://dashboard.example';
const EVIL = 'https://evil.example';
const PREFLIGHT = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };

describe('where nothing is allowed', () => {
  let server: FixtureServer;
  beforeAll(async () => {
    server = await openFixtureServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('refuses a foreign page, with and without asking first', async () => {
    for (const method of ['POST', 'OPTIONS', 'GET']) {
      const headers = { origin: EVIL, cookie: 'session=1', authorization: server.authorization, ...PREFLIGHT };
      const response = await fetch(server.url, { method, headers });
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
      const { status, code } = await readAnswer(response);
      expect({ status, code }).toEqual({ status: 403, code: 'ORIGIN_NOT_ALLOWED' });
    }
  });

  it('refuses a sandboxed page', async () => {
    expect((await server.post('{ hello }', { headers: { origin: 'null' } })).status).toBe(403);
  });

  it('answers its own pages', async () => {
    const { status, headers } = await server.post('{ hello }', { headers: { origin: server.server.url } });
    expect(status).toBe(200);
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  it('refuses a WebSocket of a foreign page', async () => {
    await expect(openSocket(server.url, { headers: { origin: EVIL } })).rejects.toThrow('403');
    const own = await openSocket(server.url, { headers: { origin: server.server.url } });
    own.socket.terminate();
  });

  it('shows no GraphiQL', async () => {
    const response = await fetch(server.url, { headers: { accept: 'text/html,*/*;q=0.8' } });
    expect(await response.text()).not.toContain('<html');
    expect(response.status).toBe(401);
  });
});

describe('where it is configured', () => {
  let server: FixtureServer;
  beforeAll(async () => {
    server = await openFixtureServer({
      environment: {
        SLIPWAY_ALLOWED_ORIGINS: `${FRIEND}, https://other.example`,
        SLIPWAY_INTROSPECTION: 'true',
        SLIPWAY_GRAPHIQL: 'true',
      },
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('allows a listed origin', async () => {
    const preflight = await fetch(server.url, { method: 'OPTIONS', headers: { origin: FRIEND, ...PREFLIGHT } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(FRIEND);
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
    const { status, headers } = await server.post('{ hello }', { headers: { origin: FRIEND } });
    expect(status).toBe(200);
    expect(headers.get('access-control-allow-origin')).toBe(FRIEND);
  });

  it('still refuses the others', async () => {
    expect((await server.post('{ hello }', { headers: { origin: EVIL } })).status).toBe(403);
  });

  it('lets a listed origin read its refusal', async () => {
    const { status, headers } = await server.post('{ hello }', { headers: { origin: FRIEND, authorization: '' } });
    expect(status).toBe(401);
    expect(headers.get('access-control-allow-origin')).toBe(FRIEND);
  });

  it('shows GraphiQL without the internet', async () => {
    const response = await fetch(server.url, { headers: { accept: 'text/html,*/*;q=0.8' } });
    const page = await response.text();
    expect(response.status).toBe(200);
    expect(page).toContain('Slipway GraphiQL');
    expect(page).toContain('"subscriptionsProtocol":"SSE"');
    expect(page).not.toMatch(/<(script|link)[^>]+(src|href)="https?:/);
  });

  it('lets no page frame it, and no cache keep an answer', async () => {
    const protection = { 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' };
    const page = await fetch(server.url, { headers: { accept: 'text/html' } });
    expect(Object.fromEntries(page.headers)).toMatchObject(protection);
    await page.body?.cancel();
    const { headers } = await server.post('{ hello }');
    expect(Object.fromEntries(headers)).toMatchObject(protection);
  });

  it('sends who comes to the door to GraphiQL', async () => {
    const response = await fetch(server.server.url, { redirect: 'manual' });
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toBe('/graphql');
  });

  it('shows the schema to GraphiQL', async () => {
    const { errors, data } = await server.post(getIntrospectionQuery());
    expect(errors).toEqual([]);
    expect(data).toHaveProperty('__schema');
  });

  it('suggests', async () => {
    const { errors } = await server.post('{ helo }');
    expect(errors[0]?.message).toContain('Did you mean "hello"?');
  });
});
