/** graphql-transport-ws as its PROTOCOL.md has it, from the outside. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../support/wait-for.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';
import { openSocket } from './protocol-socket.ts';

let server: FixtureServer;
beforeAll(async () => {
  server = await openFixtureServer({ limits: { connectionInitMs: 300, operationsPerSocket: 3, sockets: 20 } });
});
afterAll(() => server[Symbol.asyncDispose]());

const subscribe = (id: string, query: string) => ({ type: 'subscribe', id, payload: { query } });
const init = () => ({ type: 'connection_init', payload: { authorization: server.authorization } });

describe('the handshake', () => {
  it('closes without the subprotocol with 4406', async () => {
    const socket = await openSocket(server.url, { protocols: [] });
    expect(await socket.closed()).toMatchObject({ code: 4406 });
  });

  it('accepts no other subprotocol', async () => {
    await expect(openSocket(server.url, { protocols: ['graphql-ws'] })).rejects.toThrow('subprotocol');
  });

  it('picks the subprotocol out of several', async () => {
    const { socket } = await openSocket(server.url, { protocols: ['graphql-ws', 'graphql-transport-ws'] });
    expect(socket.protocol).toBe('graphql-transport-ws');
    expect(socket.extensions).toBe('');
    socket.terminate();
  });

  it('is refused on other paths', async () => {
    await expect(openSocket(`${server.server.url}/other`)).rejects.toThrow('404');
  });

  it('is refused when there are too many sockets', async () => {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => openSocket(server.url)));
    await expect(openSocket(server.url)).rejects.toThrow('503');
    for (const { socket } of sockets) socket.terminate();
    await waitFor(() => server.server.socketCount === 0);
  });
});

describe('connection_init', () => {
  it('is acknowledged', async () => {
    const socket = await openSocket(server.url);
    socket.send(init());
    expect(await socket.receive()).toEqual({ type: 'connection_ack' });
    socket.socket.terminate();
  });

  it('goes before any message that is large', async () => {
    const socket = await openSocket(server.url);
    socket.send({ type: 'ping', payload: { text: 'x'.repeat(65_536) } });
    expect(await socket.closed()).toMatchObject({ code: 1009 });
  });

  it('is refused when the token has too many sockets, until one of them is closed', async () => {
    await using strict = await openFixtureServer({ limits: { socketsPerToken: 2 } });
    const sockets = await Promise.all([strict.connect(), strict.connect()]);
    const third = await openSocket(strict.url);
    third.send({ type: 'connection_init', payload: { authorization: strict.authorization } });
    expect(await third.closed()).toEqual({ code: 4429, reason: 'One token can have 2 sockets.' });
    const other = await strict.createToken();
    sockets.push(await strict.connect(other.authorization));
    sockets[0]?.socket.terminate();
    await waitFor(() => strict.server.socketCount === 2);
    sockets.push(await strict.connect());
    for (const { socket } of sockets) socket.terminate();
  });

  it('is awaited, then 4408', async () => {
    const socket = await openSocket(server.url);
    expect(await socket.closed()).toMatchObject({ code: 4408 });
  });

  it('twice is 4429', async () => {
    const socket = await server.connect();
    socket.send(init());
    expect(await socket.closed()).toMatchObject({ code: 4429 });
  });

  it('twice is 4429, also before it is acknowledged', async () => {
    const socket = await openSocket(server.url);
    socket.send(init());
    socket.send(init());
    expect(await socket.closed()).toMatchObject({ code: 4429 });
  });

  it.each([
    ['without a token', undefined],
    ['with an unknown token', { authorization: `Bearer slipway_${'a'.repeat(60)}` }],
    ['with something else', { authorization: { toString: 'Bearer' } }],
  ])('%s is 4403', async (_what, payload) => {
    const socket = await openSocket(server.url);
    socket.send({ type: 'connection_init', payload });
    expect(await socket.closed()).toMatchObject({ code: 4403 });
  });
});

describe('messages', () => {
  it.each([
    ['no JSON', '{'],
    ['null', 'null'],
    ['an array', '[]'],
    ['no type', '{}'],
    ['an unknown type', '{"type":"start"}'],
    ['a type of the server', '{"type":"next","id":"1","payload":{}}'],
    ['no id', { type: 'subscribe', payload: { query: '{ hello }' } }],
    ['an empty id', { type: 'subscribe', id: '', payload: { query: '{ hello }' } }],
    ['no payload', { type: 'subscribe', id: '1' }],
    ['no query', { type: 'subscribe', id: '1', payload: {} }],
    ['a query that is an object', { type: 'subscribe', id: '1', payload: { query: {} } }],
    ['variables that are an array', { type: 'subscribe', id: '1', payload: { query: '{ hello }', variables: [] } }],
    ['a payload of ping that is a text', { type: 'ping', payload: 'x' }],
  ])('with %s close with 4400', async (_what, message) => {
    const socket = await server.connect();
    socket.send(message);
    expect(await socket.closed()).toMatchObject({ code: 4400 });
  });

  it('in binary close with 4400', async () => {
    const socket = await server.connect();
    socket.socket.send(Buffer.from(JSON.stringify(subscribe('1', '{ hello }'))));
    expect(await socket.closed()).toMatchObject({ code: 4400 });
  });

  it('that are too big close with 1009', async () => {
    const socket = await server.connect();
    socket.send(subscribe('1', `{ hello } #${'x'.repeat(2_000_000)}`));
    expect(await socket.closed()).toMatchObject({ code: 1009 });
  });

  it('answer a ping with its payload, also before the acknowledgement', async () => {
    const socket = await openSocket(server.url);
    socket.send({ type: 'ping' });
    expect(await socket.receive()).toEqual({ type: 'pong' });
    socket.send({ type: 'ping', payload: { n: 1 } });
    expect(await socket.receive()).toEqual({ type: 'pong', payload: { n: 1 } });
    socket.socket.terminate();
  });

  it('ignore a pong', async () => {
    const socket = await server.connect();
    socket.send({ type: 'pong' });
    socket.send({ type: 'ping' });
    expect(await socket.receive()).toEqual({ type: 'pong' });
    socket.socket.terminate();
  });
});

describe('subscribe', () => {
  it('before the acknowledgement is 4401', async () => {
    const socket = await openSocket(server.url);
    socket.send(subscribe('1', '{ hello }'));
    expect(await socket.closed()).toMatchObject({ code: 4401 });
  });

  it('gives a query one next, then complete', async () => {
    const socket = await server.connect();
    socket.send(subscribe('q', '{ hello }'));
    expect(await socket.receive()).toMatchObject({
      type: 'next',
      id: 'q',
      payload: { data: { hello: 'Hello, world!' }, extensions: { rateLimit: { limit: 300_000, cost: 2 } } },
    });
    expect(await socket.receive()).toEqual({ type: 'complete', id: 'q' });
    socket.socket.terminate();
  });

  it('executes a mutation', async () => {
    const before = server.fixture.mutations;
    const socket = await server.connect();
    socket.send(subscribe('m', 'mutation { increment }'));
    expect(await socket.receive()).toMatchObject({ type: 'next', payload: { data: { increment: before + 1 } } });
    socket.socket.terminate();
  });

  it('gives a subscription its events in order, then complete', async () => {
    const socket = await server.connect();
    socket.send(subscribe('s', 'subscription { count(to: 3) { number } }'));
    for (const number of [1, 2, 3]) {
      expect(await socket.receive()).toEqual({ type: 'next', id: 's', payload: { data: { count: { number } } } });
    }
    expect(await socket.receive()).toEqual({ type: 'complete', id: 's' });
    socket.socket.terminate();
  });

  it('runs several at once', async () => {
    const socket = await server.connect();
    socket.send(subscribe('idle', 'subscription { idle { number } }'));
    socket.send(subscribe('q', '{ hello }'));
    expect((await socket.receive()).id).toBe('q');
    socket.socket.terminate();
  });

  it('with an id that is in use is 4409', async () => {
    const socket = await server.connect();
    socket.send(subscribe('1', 'subscription { idle { number } }'));
    socket.send(subscribe('1', '{ hello }'));
    expect(await socket.closed()).toEqual({ code: 4409, reason: 'Subscriber for 1 already exists' });
    await waitFor(() => server.fixture.openSources === 0);
  });

  it('may use an id again', async () => {
    const socket = await server.connect();
    for (let round = 0; round < 2; round += 1) {
      socket.send(subscribe('1', '{ hello }'));
      expect((await socket.receive()).type).toBe('next');
      expect((await socket.receive()).type).toBe('complete');
    }
    socket.socket.terminate();
  });

  it.each([
    ['a syntax error', '{', 'GRAPHQL_PARSE_FAILED'],
    ['an unknown field', '{ nope }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a variable without a value', 'query ($big: Float!) { hello(big: $big) }', undefined],
    ['a subscription that is refused', 'subscription { refused { number } }', undefined],
    ['two operations and no name', 'query A { hello } query B { hello }', 'INVALID_INPUT'],
  ])('with %s leaves the socket and its other operations alone', async (_what, query, code) => {
    const socket = await server.connect();
    socket.send(subscribe('idle', 'subscription { idle { number } }'));
    await waitFor(() => server.fixture.openSources === 1);
    socket.send(subscribe('bad', query));
    const message = await socket.receive();
    if (code) expect(message).toMatchObject({ type: 'error', id: 'bad', payload: [{ extensions: { code } }] });
    else expect(message).toMatchObject({ type: 'next', id: 'bad', payload: { errors: [{}] } });
    if (!code) expect(await socket.receive()).toEqual({ type: 'complete', id: 'bad' });
    server.fixture.emit();
    expect(await socket.receive()).toMatchObject({ type: 'next', id: 'idle' });
    socket.socket.terminate();
    await waitFor(() => server.fixture.openSources === 0);
  });

  it.each([
    ['a query', '{ defect }', ['next', 'complete']],
    ['a subscription that cannot start', 'subscription { defect { number } }', ['next', 'complete']],
    ['a subscription that breaks', 'subscription { breaks { number } }', ['next', 'complete']],
  ])('says nothing of what is inside about %s', async (_what, query, types) => {
    const socket = await server.connect();
    socket.send(subscribe('d', query));
    for (const type of types) {
      const message = await socket.receive();
      expect(message).toMatchObject({ type, id: 'd' });
      if (type !== 'complete') expect(JSON.stringify(message)).toContain('"code":"INTERNAL"');
      expect(JSON.stringify(message)).not.toMatch(/secret|unexpected|"http"|stack/);
    }
    socket.socket.terminate();
  });

  it('is refused when too many operations are open', async () => {
    const socket = await server.connect();
    for (const id of ['1', '2', '3', '4']) socket.send(subscribe(id, 'subscription { idle { number } }'));
    expect(await socket.receive()).toMatchObject({
      type: 'error',
      id: '4',
      payload: [{ extensions: { code: 'TOO_MANY_OPERATIONS', limit: 3 } }],
    });
    socket.send({ type: 'complete', id: '1' });
    socket.send(subscribe('5', '{ hello }'));
    expect(await socket.receive()).toMatchObject({ type: 'next', id: '5' });
    socket.socket.terminate();
    await waitFor(() => server.fixture.openSources === 0);
  });
});

describe('complete', () => {
  it('ends a subscription at once, also an idle one', async () => {
    const socket = await server.connect();
    socket.send(subscribe('1', 'subscription { idle { number } }'));
    await waitFor(() => server.fixture.openSources === 1);
    socket.send({ type: 'complete', id: '1' });
    await waitFor(() => server.fixture.openSources === 0);
    expect(server.server.subscriptionCount).toBe(0);
    socket.send({ type: 'ping' });
    expect(await socket.receive()).toEqual({ type: 'pong' });
    socket.socket.terminate();
  });

  it('of an unknown id is ignored', async () => {
    const socket = await server.connect();
    for (const id of ['1', '__proto__', 'constructor']) socket.send({ type: 'complete', id });
    socket.send({ type: 'ping' });
    expect(await socket.receive()).toEqual({ type: 'pong' });
    socket.socket.terminate();
  });
});

it('cuts a peer that does not answer pings', async () => {
  await using other = await openFixtureServer({ limits: { pingMs: 50 } });
  const socket = await other.connect();
  socket.send(subscribe('1', 'subscription { idle { number } }'));
  await waitFor(() => other.fixture.openSources === 1);
  socket.socket.pause();
  await waitFor(() => other.server.socketCount === 0);
  expect(other.fixture.openSources).toBe(0);
  socket.socket.terminate();
});
