/** What a token has left: in every answer, over every transport, and what happens when there is nothing. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiToken } from '../../src/auth/api-token.ts';
import { makeTokenText } from '../../src/auth/token-text.ts';
import { openDatabase } from '../../src/database/database.ts';
import { AddressLimits } from '../../src/server/address-limits.ts';
import { Authenticator } from '../../src/server/authenticator.ts';
import { openRateBudgets } from '../../src/server/rate-budgets.ts';
import { RateLimits } from '../../src/server/rate-limits.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';
import { openSocket } from './protocol-socket.ts';

const LIMIT = 100;
/** One point for itself and one for each field. */
const TEN = `{ ${Array.from({ length: 9 }, (_, index) => `a${index}: hello`).join(' ')} }`;
const limited = { code: 'RATE_LIMITED', retryable: true, retryAfter: expect.any(Number) };

let server: FixtureServer;
beforeAll(async () => {
  server = await openFixtureServer({ limits: { pointsPerMinute: LIMIT, refusedPerMinute: 5 } });
});
afterAll(() => server[Symbol.asyncDispose]());

/** A new token whose budget is used up but for a few points. */
async function exhausted(): Promise<{ readonly authorization: string }> {
  const { authorization } = await server.createToken();
  for (let count = 0; count < 10; count += 1) {
    expect((await server.post(TEN, { headers: { authorization } })).status).toBe(200);
  }
  return { authorization };
}

async function extensionsOf(query: string, authorization: string) {
  const response = await fetch(server.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify({ query }),
  });
  const { extensions } = (await response.json()) as { extensions?: Record<string, unknown> };
  return { status: response.status, retryAfter: response.headers.get('retry-after'), extensions };
}

describe('an answer', () => {
  it('says what is left, what it has cost and when the budget is full again', async () => {
    const { authorization } = await server.createToken();
    const { extensions } = await extensionsOf(TEN, authorization);
    const resetAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(extensions).toMatchObject({ rateLimit: { limit: LIMIT, cost: 10, remaining: 90, resetAt } });
    expect((await extensionsOf('mutation { increment }', authorization)).extensions).toMatchObject({
      rateLimit: { cost: 12 },
    });
  });

  it('to who has nothing left is 429, says when to come again, and nothing is executed', async () => {
    const { authorization } = await exhausted();
    const before = server.fixture.mutations;
    const { status, retryAfter, extensions } = await extensionsOf('mutation { increment }', authorization);
    expect(status).toBe(429);
    expect(Number(retryAfter)).toBeGreaterThan(0);
    expect(extensions).toMatchObject({ rateLimit: { limit: LIMIT, cost: 12 } });
    const { errors, data } = await server.post('mutation { increment }', { headers: { authorization } });
    expect(errors).toMatchObject([{ extensions: limited }]);
    expect(data).toBeUndefined();
    expect(server.fixture.mutations).toBe(before);
    expect((await server.post('{ hello }')).status).toBe(200);
  });

  it('to a document that is refused costs a point, too', async () => {
    const { authorization } = await exhausted();
    let status = 400;
    for (let count = 0; count < 20 && status === 400; count += 1) {
      ({ status } = await server.post('{ nope }', { headers: { authorization } }));
    }
    expect(status).toBe(429);
  });

  it('says nothing of it where nothing is limited', async () => {
    await using free = await openFixtureServer({ environment: { SLIPWAY_RATE_LIMIT: '0' } });
    const headers = { 'content-type': 'application/json', authorization: free.authorization };
    const body = JSON.stringify({ query: '{ hello }' });
    const response = await fetch(free.url, { method: 'POST', headers, body });
    expect(await response.json()).toEqual({ data: { hello: 'Hello, world!' } });
  });
});

describe('without points', () => {
  it('an operation over WebSocket is refused, and the socket stays', async () => {
    const { authorization } = await exhausted();
    const socket = await server.connect(authorization);
    for (const query of [TEN, `subscription { idle { number } }`, TEN]) {
      socket.send({ type: 'subscribe', id: '1', payload: { query } });
      const message = await socket.receive();
      if (message.type === 'next' && !('errors' in (message.payload as object))) continue;
      expect(message).toMatchObject({ type: 'next', payload: { errors: [{ extensions: limited }] } });
      expect((await socket.receive()).type).toBe('complete');
    }
    socket.send({ type: 'ping' });
    expect(await socket.receive()).toEqual({ type: 'pong' });
    socket.socket.terminate();
  });

  it('an artifact is refused', async () => {
    const { authorization } = await exhausted();
    const url = `${server.server.url}/artifacts/artifact_0199f3a0000070008000000000000000`;
    const response = await fetch(url, { headers: { authorization } });
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({ status: 429, title: 'Too Many Requests' });
  });
});

describe('an address without a valid token', () => {
  it('is refused without a look-up after a while, and does not answer for tokens that were valid', async () => {
    await using strict = await openFixtureServer({ limits: { refusedPerMinute: 5 } });
    expect((await strict.post('{ hello }')).status).toBe(200);
    const wrong = { headers: { authorization: 'Bearer slipway_1' } };
    const statuses: number[] = [];
    for (let count = 0; count < 7; count += 1) statuses.push((await strict.post('{ hello }', wrong)).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429]);
    const refused = await strict.post('{ hello }', wrong);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(refused.code).toBe('RATE_LIMITED');
    expect((await strict.post('{ hello }')).status).toBe(200);
    const socket = await openSocket(strict.url);
    socket.send({ type: 'connection_init', payload: wrong.headers });
    expect(await socket.closed()).toMatchObject({ code: 1013 });
  });

  it('does not shut out who comes through the same proxy with a token that was not seen yet', async () => {
    await using strict = await openFixtureServer({ limits: { refusedPerMinute: 5 } });
    for (let count = 0; count < 20; count += 1) {
      await strict.post('{ hello }', { headers: { authorization: `Bearer ${makeTokenText()}` } });
    }
    const { authorization } = await strict.createToken();
    expect((await strict.post('{ hello }', { headers: { authorization } })).status).toBe(200);
  });

  it('has two tokens looked up at a time, not more', async () => {
    const addresses = new AddressLimits({ perMinute: 1 });
    const address = '192.0.2.1';
    addresses.recordRefusal(address);
    const authenticator = new Authenticator(server.stack.orchestrator.db, addresses);
    const guess = () => authenticator.identify({ authorization: `Bearer ${makeTokenText()}`, address });
    const results = await Promise.allSettled([guess(), guess(), guess(), guess()]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    expect(await guess()).toBeNull();
  });
});

describe('without Postgres', () => {
  const logger = createLogger('silent');
  const budget = { capacity: LIMIT, pointsPerSecond: 1 };

  it('a process goes by what it knows, and does not ask at every request', async () => {
    const db = openDatabase({ url: 'postgres://slipway@127.0.0.1:1/slipway', poolSize: 1, name: 'away', logger });
    let asked = 0;
    const budgets = openRateBudgets(db, budget);
    const counted: typeof budgets = {
      ...budgets,
      take(portion) {
        asked += 1;
        return budgets.take(portion);
      },
    };
    const clock = { ms: 1 };
    await using limits = new RateLimits({ budgets: counted, logger, now: () => clock.ms });
    for (let left = LIMIT - 1; left >= 0; left -= 1) {
      expect(await limits.spend('a', 1)).toMatchObject({ remaining: left, cost: 1 });
    }
    await expect(limits.spend('a', 5)).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfter: 5 });
    expect(await limits.spend('b', LIMIT)).toMatchObject({ remaining: 0 });
    expect(asked).toBeLessThan(5);
    clock.ms += 10_000;
    await limits.sweep();
    await expect(limits.spend('a', 11)).rejects.toMatchObject({ retryAfter: 1 });
    expect(await limits.spend('a', 10)).toMatchObject({ remaining: 0 });
    await db.destroy();
  });

  it('what was spent meanwhile is told when it is back', async () => {
    const { id } = await createApiToken(server.stack.orchestrator.db, {
      ...{ name: 'in debt', scopes: ['admin'], projectIds: null, expiresAt: null, createdBy: 'test' },
    });
    const clock = { ms: 1 };
    const epoch = Date.UTC(2026, 0, 1);
    const budgets = openRateBudgets(server.stack.orchestrator.db, budget, () => new Date(epoch + clock.ms));
    let isAway = true;
    const take: typeof budgets.take = async (portion) => {
      if (isAway) throw new Error('away');
      return budgets.take(portion);
    };
    const open = () => new RateLimits({ budgets: { budget, take }, logger, now: () => clock.ms });
    await using limits = open();
    expect(await limits.spend(id, 90)).toMatchObject({ remaining: 10 });
    isAway = false;
    clock.ms += 2_000;
    expect(await limits.spend(id, 1)).toMatchObject({ remaining: 9 });
    await using other = open();
    await expect(other.spend(id, 20)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  });

  it('nobody waits for one that does not answer', async () => {
    const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const url = `postgres://slipway@127.0.0.1:${port}/slipway`;
    const db = openDatabase({ url, poolSize: 1, name: 'silent', logger });
    await using limits = new RateLimits({ budgets: openRateBudgets(db, budget), logger, answerWithinMs: 50 });
    const started = performance.now();
    const spent = await Promise.all([limits.spend('a', 1), limits.spend('a', 1), limits.spend('b', 1)]);
    expect(spent.map(({ remaining }) => remaining)).toEqual([LIMIT - 1, LIMIT - 2, LIMIT - 1]);
    console.log(`let through after ${(performance.now() - started).toFixed()} ms`);
    silent.close();
    await db.destroy().catch(() => {});
  });
});

it('counts the operations of a token over all its connections', async () => {
  await using strict = await openFixtureServer({ limits: { operationsPerToken: 2 } });
  const socket = await strict.connect();
  for (const id of ['1', '2', '3']) {
    socket.send({ type: 'subscribe', id, payload: { query: 'subscription { idle { number } }' } });
  }
  expect(await socket.receive()).toMatchObject({
    type: 'next',
    id: '3',
    payload: { errors: [{ extensions: { code: 'TOO_MANY_OPERATIONS', limit: 2 } }] },
  });
  const refused = await strict.post('{ hello }');
  expect({ status: refused.status, code: refused.code }).toEqual({ status: 429, code: 'TOO_MANY_OPERATIONS' });
  socket.send({ type: 'complete', id: '1' });
  socket.send({ type: 'ping' });
  while ((await socket.receive()).type !== 'pong');
  expect((await strict.post('{ hello }')).status).toBe(200);
  socket.socket.terminate();
});
