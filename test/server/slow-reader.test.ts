/** A reader that stops reading costs bounded memory, disturbs nobody, and later gets everything. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitFor } from '../support/wait-for.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';

const EVENTS = 1_500;
const BYTES = 20_000;
const FLOOD = `subscription { count(to: ${EVENTS}, bytes: ${BYTES}) { number text } }`;
/** What the kernel and the buffers on the way may hold of the 30 MB. */
const MAX_AHEAD = 500;

let server: FixtureServer;
beforeAll(async () => {
  server = await openFixtureServer();
});
afterAll(() => server[Symbol.asyncDispose]());

/** The value once it has not changed for a while, and is not `before`. */
async function settled(read: () => number, before: number): Promise<number> {
  let last = before;
  let same = 0;
  return waitFor(() => {
    const value = read();
    same = value === last && value !== before ? same + 1 : 0;
    last = value;
    return same === 20 ? value : null;
  });
}

/** How many events the server pulls before it waits for a reader who does not read. */
async function pulledAhead(before: number): Promise<number> {
  return (await settled(() => server.fixture.pulled, before)) - before;
}

async function otherReader(): Promise<number> {
  const started = performance.now();
  const socket = await server.connect();
  socket.send({ type: 'subscribe', id: '1', payload: { query: 'subscription { count(to: 100) { number } }' } });
  while ((await socket.receive()).type !== 'complete');
  socket.socket.terminate();
  return performance.now() - started;
}

it('over WebSocket', async () => {
  const socket = await server.connect();
  const before = server.fixture.pulled;
  const heap = process.memoryUsage().rss;
  socket.socket.pause();
  socket.send({ type: 'subscribe', id: '1', payload: { query: FLOOD } });
  const ahead = await pulledAhead(before);
  const grown = (process.memoryUsage().rss - heap) / 1024 ** 2;
  console.log(`WebSocket: ${ahead} of ${EVENTS} events pulled ahead, RSS grew by ${grown.toFixed(1)} MiB`);
  expect(ahead).toBeLessThan(MAX_AHEAD);
  console.log(`100 events for another reader: ${(await otherReader()).toFixed()} ms`);
  socket.socket.resume();
  for (let number = 1; number <= EVENTS; number += 1) {
    expect(await socket.receive()).toMatchObject({ type: 'next', payload: { data: { count: { number } } } });
  }
  expect((await socket.receive()).type).toBe('complete');
  socket.socket.terminate();
});

async function openFlood({ url, authorization }: FixtureServer = server): Promise<IncomingMessage> {
  const post = request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization },
  });
  post.on('error', () => {});
  post.end(JSON.stringify({ query: FLOOD }));
  const [response] = (await once(post, 'response')) as [IncomingMessage];
  return response.on('error', () => {});
}

it('over SSE', async () => {
  const before = server.fixture.pulled;
  const response = await openFlood();
  const ahead = await pulledAhead(before);
  console.log(`SSE: ${ahead} of ${EVENTS} events pulled ahead`);
  expect(ahead).toBeLessThan(MAX_AHEAD);
  await otherReader();
  const text = (await response.setEncoding('utf8').toArray()).join('');
  const numbers = [...text.matchAll(/"number":(\d+)/g)].map(([, number]) => Number(number));
  expect(numbers).toEqual(Array.from({ length: EVENTS }, (_, index) => index + 1));
});

it('is released when it goes away without having read', async () => {
  const response = await openFlood();
  await pulledAhead(server.fixture.pulled - 1);
  expect(server.fixture.openSources).toBe(1);
  response.destroy();
  await waitFor(() => server.fixture.openSources === 0);
});

it('over SSE is cut when it takes nothing for too long, whoever has come and gone before', async () => {
  await using strict = await openFixtureServer({ limits: { stalledStreamMs: 300 } });
  const [first, second] = [await openFlood(strict), await openFlood(strict)];
  await waitFor(() => strict.fixture.openSources === 2);
  first.destroy();
  await waitFor(() => strict.fixture.openSources < 2);
  const third = await openFlood(strict);
  await waitFor(() => strict.fixture.openSources > 0);
  second.destroy();
  await waitFor(() => strict.fixture.openSources === 0);
  third.destroy();
});

it('over WebSocket may not ask for more than it reads', async () => {
  const socket = await server.connect();
  socket.socket.pause();
  const payload = { text: 'x'.repeat(100_000) };
  for (let ping = 0; ping < 200; ping += 1) socket.send({ type: 'ping', payload });
  // The server stops reading, so what we send stays with us.
  expect(await settled(() => socket.socket.bufferedAmount, -1)).toBeGreaterThan(1_000_000);
  socket.socket.resume();
  for (let pong = 0; pong < 200; pong += 1) expect((await socket.receive()).type).toBe('pong');
  socket.socket.terminate();
});
