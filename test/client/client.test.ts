import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { ApiError, ConnectionError } from '../../src/client/errors.ts';
import { CreateProjectDocument, ListBuildsDocument, WatchBuildDocument } from '../../src/client/generated.ts';
import { openSocketClient } from '../../src/client/socket-client.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let api: TestApi;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

async function serve(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/graphql`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('a typed document gives typed data', async () => {
  await using client = createClient(api);
  const { builds } = await client.request(ListBuildsDocument, { first: 5 });
  expect(builds.nodes).toEqual([]);
});

test('without a token, and with one that is not enough, the errors say so', async () => {
  await using anonymous = createClient({ url: api.url, token: null });
  await expect(anonymous.request(ListBuildsDocument, { first: 5 })).rejects.toMatchObject({ notAllowed: true });
  await using reader = createClient({ url: api.url, token: await api.makeToken(['builds:read']) });
  const creating = reader.request(CreateProjectDocument, { input: { name: 'No' } });
  await expect(creating).rejects.toMatchObject({ code: 'FORBIDDEN', notAllowed: true });
});

test('a server that is not there, and one that is another, are connection errors', async () => {
  await using web = await serve((_request, response) => response.end('<h1>Hello</h1>'));
  await using broken = await serve((_request, response) => response.destroy());
  const gone = await serve(() => {});
  await gone[Symbol.asyncDispose]();
  for (const [url, message] of [
    [web.url, /does not speak GraphQL/],
    [broken.url, /cannot be reached/],
    [gone.url, /ECONNREFUSED/],
  ] as const) {
    await using client = createClient({ url, token: null });
    const asking = client.request(ListBuildsDocument, { first: 1 });
    await expect(asking).rejects.toBeInstanceOf(ConnectionError);
    await expect(asking).rejects.toThrow(message);
  }
});

test('a token is not sent to where a redirect points', async () => {
  let leaked = false;
  await using other = await serve((_request, response) => {
    leaked = true;
    response.end('{}');
  });
  await using redirecting = await serve((_request, response) => {
    response.writeHead(307, { location: other.url }).end();
  });
  await using client = createClient({ url: redirecting.url, token: 'secret' });
  await expect(client.request(ListBuildsDocument, { first: 1 })).rejects.toBeInstanceOf(ConnectionError);
  expect(leaked).toBe(false);
});

test('a subscription of what does not exist is refused, and a wrong token, too', async () => {
  const buildId = `build_${'0'.repeat(32)}`;
  await using client = createClient(api);
  await expect(client.subscribe(WatchBuildDocument, { buildId }).next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await using stranger = createClient({ url: api.url, token: 'slipway_wrong' });
  const refused = stranger.subscribe(WatchBuildDocument, { buildId }).next();
  await expect(refused).rejects.toBeInstanceOf(ApiError);
  await expect(refused).rejects.toMatchObject({ notAllowed: true });
});

test('a server that takes the connection and says nothing is not waited for', async () => {
  // Its port is open while the process stands still.
  const open: Socket[] = [];
  const silent = createTcpServer((socket) => open.push(socket.on('error', () => {})));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const client = openSocketClient({ url: `http://127.0.0.1:${port}/graphql`, token: null, answerWithinMs: 300 });
  try {
    const refused: unknown[] = [];
    const sink = { next() {}, complete() {}, error: (error: unknown) => void refused.push(error) };
    client.subscribe({ query: 'subscription { workers { id } }' }, sink);
    await waitFor(() => refused.length > 0, { deadlineMs: 10_000, what: 'the end of the wait' });
  } finally {
    for (const socket of open) socket.destroy();
    silent.close();
    await client.dispose();
  }
});

test('a closed client opens no more subscriptions', async () => {
  const client = createClient(api);
  await client.close();
  await client.close();
  const subscribing = client.subscribe(WatchBuildDocument, { buildId: 'build_0' }).next();
  await expect(subscribing).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
});
