import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createClient as createEventClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { waitFor } from '../support/wait-for.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';

const IDLE = 'subscription { idle { number rights } }';
const COUNT = 'subscription { count(to: 3) { number rights } }';

let server: FixtureServer;
beforeAll(async () => {
  server = await openFixtureServer();
});
afterAll(() => server[Symbol.asyncDispose]());

/** A subscription over SSE; the text of its stream. */
async function openEvents(query: string, { signal }: { readonly signal?: AbortSignal } = {}) {
  return fetch(server.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: server.authorization },
    body: JSON.stringify({ query }),
    signal: signal ?? null,
  });
}

const subscribe = (id: string, query: string) => ({ type: 'subscribe', id, payload: { query } });
const nothingOpen = () => waitFor(() => server.fixture.openSources + server.server.subscriptionCount === 0);

/** After a full collection. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}

describe('over SSE', () => {
  it('sends events, then complete', async () => {
    const response = await openEvents(COUNT);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const events = [...(await response.text()).matchAll(/^event: (\w+)\ndata: ?(.*)$/gm)];
    expect(events.map(([, type]) => type)).toEqual(['next', 'next', 'next', 'complete']);
    expect(events.slice(0, 3).map(([, , data]) => JSON.parse(data ?? '').data.count.number)).toEqual([1, 2, 3]);
    await nothingOpen();
  });

  it('answers a GET, as EventSource sends it', async () => {
    const url = `${server.url}?query=${encodeURIComponent(COUNT)}`;
    const headers = { accept: 'text/event-stream', authorization: server.authorization };
    expect(await (await fetch(url, { headers })).text()).toContain('"number":3');
  });

  it('is refused to who accepts no events, and opens nothing', async () => {
    const { status, code } = await server.post(IDLE, { headers: { accept: 'application/json' } });
    expect({ status, code }).toEqual({ status: 406, code: 'NOT_ACCEPTABLE' });
    expect(server.fixture.openSources).toBe(0);
  });

  it('says as an event what was refused', async () => {
    expect(await (await openEvents('subscription { refused { number } }')).text()).toContain('"code":"NOT_FOUND"');
    const broken = await (await openEvents('subscription { breaks { number } }')).text();
    expect(broken).toContain('"code":"INTERNAL"');
    expect(broken).not.toContain('secret');
    expect(broken).toContain('event: complete');
  });

  it('is released at once when the client goes away, also while it is idle', async () => {
    const controller = new AbortController();
    await openEvents(IDLE, { signal: controller.signal });
    await waitFor(() => server.fixture.openSources === 1);
    controller.abort();
    await nothingOpen();
  });

  it('works with graphql-sse', async () => {
    const client = createEventClient({
      url: server.url,
      headers: { authorization: server.authorization },
      retryAttempts: 0,
    });
    const numbers: unknown[] = [];
    for await (const result of client.iterate<{ count: { number: number } }>({ query: COUNT })) {
      numbers.push(result.data?.count.number);
    }
    expect(numbers).toEqual([1, 2, 3]);
    client.dispose();
  });
});

describe('over WebSocket', () => {
  it('is released at once when the socket is cut, also while it is idle', async () => {
    const socket = await server.connect();
    for (const id of ['1', '2']) socket.send(subscribe(id, IDLE));
    await waitFor(() => server.fixture.openSources === 2);
    socket.socket.terminate();
    await nothingOpen();
  });

  it('works with graphql-ws', async () => {
    const client = createSocketClient({
      url: server.url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: server.authorization },
      retryAttempts: 0,
    });
    const numbers: unknown[] = [];
    for await (const result of client.iterate<{ count: { number: number } }>({ query: COUNT })) {
      numbers.push(result.data?.count.number);
    }
    expect(numbers).toEqual([1, 2, 3]);
    await client.dispose();
  });

  it('releases a thousand idle ones', async () => {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => server.connect()));
    for (const socket of sockets) socket.send(subscribe('first', IDLE));
    await waitFor(() => server.fixture.openSources === 20);
    const before = heapBytes();
    for (const socket of sockets) {
      for (let index = 1; index < 50; index += 1) socket.send(subscribe(String(index), IDLE));
    }
    await waitFor(() => server.fixture.openSources === 1_000);
    console.log(`one idle subscription: ${((heapBytes() - before) / 980 / 1024).toFixed(1)} KiB of heap`);
    const started = performance.now();
    for (const { socket } of sockets) socket.terminate();
    await nothingOpen();
    console.log(`1,000 idle subscriptions released in ${(performance.now() - started).toFixed()} ms`);
  });
});

describe('the context', () => {
  it.each(['SSE', 'WebSocket'])('is a new one for every event over %s', async (transport) => {
    const seen = server.fixture.contexts.size;
    if (transport === 'SSE') await (await openEvents(COUNT)).text();
    else {
      const socket = await server.connect();
      socket.send(subscribe('1', COUNT));
      while ((await socket.receive()).type !== 'complete');
      socket.socket.terminate();
    }
    expect(server.fixture.contexts.size - seen).toBe(3);
  });
});

describe('the execution', () => {
  const WITH_VARIABLE = 'subscription S($skip: Boolean!) { idle { number rights text @skip(if: $skip) } }';

  async function contextsOf(subscribers: readonly Subscriber[]): Promise<number> {
    const sockets = await Promise.all(subscribers.map(({ authorization }) => server.connect(authorization)));
    for (const [index, { query = IDLE, variables }] of subscribers.entries()) {
      sockets[index]?.send({ type: 'subscribe', id: '1', payload: { query, variables } });
    }
    await waitFor(() => server.fixture.openSources === subscribers.length);
    const seen = server.fixture.contexts.size;
    server.fixture.emit();
    for (const socket of sockets) expect((await socket.receive()).type).toBe('next');
    for (const { socket } of sockets) socket.terminate();
    await nothingOpen();
    return server.fixture.contexts.size - seen;
  }

  interface Subscriber {
    readonly authorization?: string;
    readonly query?: string;
    readonly variables?: Readonly<Record<string, unknown>>;
  }

  it('is one for all who would get the same', async () => {
    const { authorization } = await server.createToken();
    expect(await contextsOf([{}, {}, { authorization }, {}])).toBe(1);
  });

  it('is another one for other rights', async () => {
    const [narrow, reader] = await Promise.all([
      server.createToken({ projectIds: [v7()] }),
      server.createToken({ scopes: ['builds:read'] }),
    ]);
    expect(await contextsOf([{}, narrow, reader, {}])).toBe(3);
  });

  it('is another one for another document or other variables', async () => {
    const query = WITH_VARIABLE;
    const subscribers = [{}, { query, variables: { skip: true } }, { query, variables: { skip: false } }];
    expect(await contextsOf([...subscribers, ...subscribers])).toBe(3);
  });
});

describe('variables', () => {
  const DEFAULTED = 'subscription S($name: String = "default") { idle { number echo(name: $name) } }';

  it('without a value take their default, also beside a subscriber whose value is null', async () => {
    const socket = await server.connect();
    const payload = { query: DEFAULTED };
    socket.send({ type: 'subscribe', id: 'null', payload: { ...payload, variables: { name: null } } });
    socket.send({ type: 'subscribe', id: 'absent', payload: { ...payload, variables: {} } });
    await waitFor(() => server.fixture.openSources === 2);
    server.fixture.emit();
    const echoes: Record<string, unknown> = {};
    for (let count = 0; count < 2; count += 1) {
      const { id, payload: answer } = await socket.receive();
      echoes[String(id)] = (answer as { data: { idle: { echo: unknown } } }).data.idle.echo;
    }
    expect(echoes).toEqual({ null: null, absent: 'default' });
    socket.socket.terminate();
    await nothingOpen();
  });
});
