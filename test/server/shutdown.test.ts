import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { openServer } from '../../src/server/http-server.ts';
import { waitFor } from '../support/wait-for.ts';
import { openFixtureServer } from './open-fixture-server.ts';

const IDLE = JSON.stringify({ query: 'subscription { idle { number } }' });

it('ends streams, sockets and idle connections, and frees the port', async () => {
  // Longer than the test may take: nothing has to be cut.
  await using fixture = await openFixtureServer({ limits: { shutdownMs: 60_000 } });
  const { server, url, authorization } = fixture;
  const headers = { 'content-type': 'application/json', accept: 'text/event-stream', authorization };
  // One that keeps its connection as long as it may.
  const agent = new Agent({ keepAlive: true });
  const [stream] = (await once(request(url, { method: 'POST', headers, agent }).end(IDLE), 'response')) as [
    IncomingMessage,
  ];
  const socket = await fixture.connect();
  socket.send({ type: 'subscribe', id: '1', payload: JSON.parse(IDLE) });
  await waitFor(() => fixture.fixture.openSources === 2);
  await fixture.post('{ hello }');
  const unused = connect(server.port, '127.0.0.1');
  await once(unused.resume(), 'connect');

  const started = performance.now();
  await server[Symbol.asyncDispose]();
  console.log(`shutdown with a stream, a socket and idle connections: ${(performance.now() - started).toFixed()} ms`);

  expect(await socket.closed()).toMatchObject({ code: 1001 });
  expect((await stream.toArray()).join('')).toContain('event: complete');
  agent.destroy();
  expect(fixture.fixture.openSources).toBe(0);
  await waitFor(() => unused.destroyed);
  await expect(fetch(url)).rejects.toThrow();
  // Once more changes nothing.
  await server[Symbol.asyncDispose]();
  const { orchestrator } = fixture.stack;
  await using again = await openServer({
    orchestrator,
    schema: fixture.fixture.schema,
    host: '127.0.0.1',
    port: server.port,
  });
  expect(again.port).toBe(server.port);
});

it('cuts who does not go', async () => {
  await using fixture = await openFixtureServer({ limits: { shutdownMs: 200 } });
  const socket = await fixture.connect();
  socket.socket.pause();
  const pending = fixture.post('{ never }').catch((error: unknown) => error);
  await waitFor(() => fixture.server.socketCount === 1);
  const started = performance.now();
  await fixture.server[Symbol.asyncDispose]();
  console.log(`shutdown with who does not go: ${(performance.now() - started).toFixed()} ms of 200`);
  expect(await pending).toBeInstanceOf(Error);
  socket.socket.terminate();
});

it('rejects when the port is taken', async () => {
  await using fixture = await openFixtureServer();
  const { orchestrator } = fixture.stack;
  const { port } = fixture.server;
  const opening = openServer({ orchestrator, schema: fixture.fixture.schema, host: '127.0.0.1', port });
  await expect(opening).rejects.toThrow('EADDRINUSE');
});

it('gives slow senders of headers no more than their time', async () => {
  await using fixture = await openFixtureServer({ limits: { headersMs: 100, requestMs: 200 } });
  const slow = connect(fixture.server.port, '127.0.0.1');
  slow.write('GET /healthz HTTP/1.1\r\nHost: a');
  const [answer] = (await once(slow, 'data')) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1\.1 408 /);
  slow.destroy();
});
