/** Frames of a subscription's own head and a shared body, as a client of ws reads them. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { type FrameWriter, FrameWriters } from '../../src/server/frame-writer.ts';
import { Payload } from '../../src/server/payload.ts';
import { headOf } from '../../src/server/pump.ts';
import { waitFor } from '../support/wait-for.ts';

/** More than the buffers of two kernels' sockets hold. */
const FRAMES = 6_000;
const HEAD = headOf('ü');
let server: WebSocketServer;
let client: WebSocket;
let socket: WebSocket;
let stream: Duplex;
let writer: FrameWriter;
let received: string[];
let writes: number;

beforeAll(async () => {
  server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
});
afterAll(() => {
  for (const one of server.clients) one.terminate();
  server.close();
});
beforeEach(async () => {
  client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  received = [];
  client.on('message', (data) => received.push(String(data)));
  const [opened, request] = await once(server, 'connection');
  socket = opened;
  stream = request.socket;
  writes = 0;
  const { write } = stream;
  stream.write = (...given: unknown[]) => {
    writes += 1;
    return Reflect.apply(write, stream, given);
  };
  writer = new FrameWriters().open(socket, stream);
});

const body = (bytes: number) => new Payload(Buffer.from(JSON.stringify(`ü€${'x'.repeat(Math.max(0, bytes - 5))}`)));
const frameOf = ({ json }: Payload) => `{"id":"ü","type":"next","payload":${json}}`;

it('are whole at each size of a header, and those of one turn leave in one write', async () => {
  const small = [0, 88, 89, 90, 1_000, 20_000].map(body);
  for (const one of small) writer.add(HEAD, one);
  await waitFor(() => received.length === small.length);
  expect(received).toEqual(small.map(frameOf));
  expect(writes).toBe(1);
  const large = [65_497, 65_498, 65_499, 1_000_000, 3].map(body);
  for (const one of large) writer.add(HEAD, one);
  await waitFor(() => received.length === small.length + large.length);
  expect(received.slice(small.length)).toEqual(large.map(frameOf));
});

it('go before what ws writes after them, and nothing follows a close frame', async () => {
  writer.add(HEAD, body(1));
  writer.flush();
  socket.send('complete');
  await waitFor(() => received.length === 2);
  expect(received).toEqual([frameOf(body(1)), 'complete']);
  socket.close(1000);
  writer.add(HEAD, body(2));
  await once(client, 'close');
  expect(received).toHaveLength(2);
});

it('wait while a reader takes nothing, and go on when it does', async () => {
  client.pause();
  let sent = 0;
  const fill = () => {
    for (; writer.hasRoom && sent < FRAMES; sent += 1) writer.add(HEAD, body(20_000));
    if (sent < FRAMES) writer.whenRoom({ ready: fill });
  };
  fill();
  let last = -1;
  await waitFor(() => {
    const stopped = sent === last && !writer.hasRoom;
    last = sent;
    return stopped;
  });
  expect(sent).toBeLessThan(FRAMES);
  expect(stream.writableLength).toBeLessThan(1024 * 1024);
  client.resume();
  await waitFor(() => received.length === FRAMES);
});
