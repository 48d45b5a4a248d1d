import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schema } from '../../../schema/index.ts';
import { createDocumentation } from '../../../src/server/rest/openapi.ts';
import { ENDPOINTS } from '../../../src/server/rest/rest-routes.ts';
import { fromPublicId, toPublicId } from '../../../src/std/public-id.ts';
import { finish } from '../../schema/finish.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openRest, type Rest } from './open-rest.ts';

let rest: Rest;
let projectId: string;
beforeAll(async () => {
  rest = await openRest();
  projectId = toPublicId('project', (await rest.stack.createProject()).id);
});
afterAll(() => rest[Symbol.asyncDispose]());

async function start(): Promise<string> {
  return (await rest.call(`POST /projects/${projectId}/builds`, { body: { spec: { prompt: 'work' } } })).body.build.id;
}

it('the OpenAPI document is for everybody, as it is made', async () => {
  const { status, headers, body } = await rest.call('GET /openapi.json', { authorization: null });
  expect({ status, type: headers.get('content-type') }).toEqual({ status: 200, type: 'application/json' });
  expect(body).toEqual(JSON.parse(JSON.stringify(await createDocumentation(schema, ENDPOINTS)())));
});

it('pages of allowed origins may call it, and read its headers', async () => {
  const APP = 'https://app.example';
  await using open = await openRest({}, { SLIPWAY_ALLOWED_ORIGINS: APP });
  const asked = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,idempotency-key',
  };
  for (const path of ['/builds/x', '/projects/x/builds', '/work/dequeue', '/openapi.json']) {
    const preflight = await fetch(`${open.server.url}${path}`, {
      method: 'OPTIONS',
      headers: { origin: APP, ...asked },
    });
    expect({ path, status: preflight.status }).toEqual({ path, status: 204 });
    expect(preflight.headers.get('access-control-allow-headers')).toContain('idempotency-key');
  }
  const answer = await open.call('GET /builds/x', { headers: { origin: APP } });
  expect(answer.status).toBe(404);
  expect(answer.headers.get('access-control-allow-origin')).toBe(APP);
  expect(answer.headers.get('access-control-expose-headers')).toContain('link');
});

describe('limits', () => {
  it('a token that has asked for too much waits, whatever it sent', async () => {
    await using tight = await openRest({ pointsPerMinute: 60 });
    const { authorization } = await tight.createToken({ scopes: ['builds:read'] });
    let answer = await tight.call('GET /builds/x?color=red', { authorization });
    for (let asked = 1; asked < 100 && answer.status !== 429; asked += 1) {
      answer = await tight.call('GET /builds/x?color=red', { authorization });
    }
    expect(answer).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('tells of a database that is away', async () => {
    await using sick = await openRest();
    const { authorization } = await sick.createToken({ scopes: ['admin'] });
    await sick.stack.orchestrator.db.destroy();
    const answer = await sick.call('GET /builds/x', { authorization });
    expect(answer).toMatchObject({ status: 500, body: { code: 'INTERNAL', errorId: expect.any(String) } });
    expect(answer.body.detail).not.toMatch(/kysely|driver|sql/i);
  });
});

describe('who waits for the end of a build', () => {
  it('is answered when it has ended', async () => {
    const id = await start();
    const waiting = rest.call(`GET /builds/${id}`, { headers: { prefer: 'respond-async, wait=30' } });
    await waitFor(() => rest.stack.orchestrator.hub.waiters > 0);
    await finish(rest.stack.orchestrator, fromPublicId('build', id) ?? '');
    const answer = await waiting;
    expect(answer.body.status).toBe('COMPLETED');
    expect(answer.headers.get('preference-applied')).toBe('wait=30');
    expect((await rest.call(`GET /builds/${id}?waitSeconds=60`)).status).toBe(200);
    expect((await rest.call(`GET /builds/${id}?waitSeconds=61`)).status).toBe(400);
  });

  it('is answered when the time is over', async () => {
    const id = await start();
    expect((await rest.call(`GET /builds/${id}?waitSeconds=1`)).body.status).toBe('PENDING');
  });

  it('is let go of with its token, and forgotten when it goes', async () => {
    const id = await start();
    const { hub, db } = rest.stack.orchestrator;
    const token = await rest.createToken({ scopes: ['builds:read'] });
    const waiting = rest.call(`GET /builds/${id}?waitSeconds=60`, token);
    await waitFor(() => hub.waiters > 0);
    await db.updateTable('api_tokens').set({ revoked_at: new Date() }).where('id', '=', token.id).execute();
    expect((await waiting).status).toBe(401);
    await waitFor(() => hub.waiters === 0);
    const { authorization } = await rest.createToken({ scopes: ['builds:read'] });
    const socket = connect(rest.server.port, '127.0.0.1');
    socket.write(`GET /builds/${id}?waitSeconds=60 HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\n\r\n`);
    await waitFor(() => hub.waiters > 0);
    socket.destroy();
    await waitFor(() => hub.waiters === 0);
  });

  it('is one of few, and does not delay the end of the process', async () => {
    await using small = await openRest({ longPolls: 2, operationsPerToken: 1, shutdownMs: 60_000 });
    const project = toPublicId('project', (await small.stack.createProject()).id);
    const { body } = await small.call(`POST /projects/${project}/builds`, { body: { spec: { prompt: 'x' } } });
    const route = `GET /builds/${body.build.id}?waitSeconds=60`;
    const polls = [];
    for (const waiters of [1, 2]) {
      const { authorization } = await small.createToken({ scopes: ['builds:read'] });
      polls.push(small.call(route, { authorization }));
      await waitFor(() => small.stack.orchestrator.hub.waiters === waiters);
      if (waiters === 1)
        expect(await small.call(route, { authorization })).toMatchObject({
          status: 429,
          body: { code: 'TOO_MANY_OPERATIONS' },
        });
    }
    const third = await small.createToken({ scopes: ['builds:read'] });
    expect(await small.call(route, third)).toMatchObject({ status: 503 });
    const unread = connect(small.server.port, '127.0.0.1').resume();
    await once(unread, 'connect');
    const started = performance.now();
    await small.server[Symbol.asyncDispose]();
    console.log(`shutdown with two long polls: ${(performance.now() - started).toFixed()} ms`);
    for (const poll of polls) expect((await poll).body.status).toBe('PENDING');
  });
});
