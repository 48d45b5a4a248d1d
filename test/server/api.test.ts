/** The real schema over all three transports. */
import { createClient as createEventClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { schema } from '../../schema/index.ts';
import { createApiToken, type NewApiToken } from '../../src/auth/api-token.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import type { NewBuildEvent } from '../../src/events/event.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import { type OpenServer, openServer } from '../../src/server/http-server.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { insertBuilds } from '../support/events.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Answer, readAnswer } from './open-fixture-server.ts';

const PROGRESS =
  'subscription Progress($id: ID!, $after: String) { buildProgress(buildId: $id, after: $after) { cursor } }';
const TOO_COMPLEX = '{ builds(first: 100) { nodes { events(first: 100) { nodes { cursor } } } } }';

let stack: TestStack;
let server: OpenServer;
let authorization: string;
beforeAll(async () => {
  stack = await openTestStack();
  server = await openServer({ orchestrator: stack.orchestrator, schema, host: '127.0.0.1', port: 0 });
  authorization = await createToken();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

async function createToken(rights: Partial<NewApiToken> = {}): Promise<string> {
  const { db } = stack.orchestrator;
  const everything = { name: 'test', scopes: ['admin'], projectIds: null, expiresAt: null, createdBy: 'test' } as const;
  return `Bearer ${(await createApiToken(db, { ...everything, ...rights })).token}`;
}

async function post(
  query: string,
  variables: Readonly<Record<string, unknown>> = {},
  token = authorization,
): Promise<Answer> {
  const headers = { 'content-type': 'application/json', authorization: token };
  const body = JSON.stringify({ query, variables });
  return readAnswer(await fetch(`${server.url}/graphql`, { method: 'POST', headers, body }));
}

function openSocketClient() {
  return createSocketClient({
    url: `${server.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 0,
  });
}

function openEventClient() {
  return createEventClient({ url: `${server.url}/graphql`, headers: { authorization }, retryAttempts: 0 });
}

interface Progress {
  readonly buildProgress: { readonly cursor: string };
}

async function collect(results: AsyncIterable<{ readonly data?: Progress | null | undefined }>): Promise<number[]> {
  const cursors: number[] = [];
  for await (const { data } of results) cursors.push(Number(data?.buildProgress.cursor));
  return cursors;
}

async function append(buildId: string, ...events: readonly NewBuildEvent[]): Promise<void> {
  const { db, hub } = stack.orchestrator;
  await appendEvents(db, { buildId, attemptNo: null }, events);
  hub.announce(eventsTopic(buildId));
}

const progress = (message: string): NewBuildEvent => ({ type: 'PROGRESS', data: { message } });
const FINISHED: NewBuildEvent = { type: 'FINISHED', data: { status: 'COMPLETED', reason: null, message: null } };

async function insertBuild() {
  const [build] = await insertBuilds(stack.orchestrator.db);
  if (!build) throw new Error('no build');
  return { ...build, publicId: toPublicId('build', build.buildId) };
}

it('replays a build, goes on live and ends, over SSE and WebSocket', async () => {
  const { buildId, publicId } = await insertBuild();
  await append(buildId, ...Array.from({ length: 250 }, (_, index) => progress(`stored ${index}`)));
  const sockets = openSocketClient();
  const events = openEventClient();
  const from = (after: string) => ({ query: PROGRESS, variables: { id: publicId, after } });
  const collected = Promise.all([
    collect(sockets.iterate<Progress>(from('0'))),
    collect(sockets.iterate<Progress>(from('240'))),
    collect(events.iterate<Progress>(from('0'))),
    collect(events.iterate<Progress>(from('240'))),
  ]);
  await waitFor(() => server.subscriptionCount === 4);
  for (let index = 0; index < 49; index += 1) await append(buildId, progress(`live ${index}`));
  await append(buildId, FINISHED);
  const all = Array.from({ length: 300 }, (_, index) => index + 1);
  expect(await collected).toEqual([all, all.slice(240), all, all.slice(240)]);
  await waitFor(() => server.subscriptionCount === 0);
  await sockets.dispose();
  events.dispose();
});

it('releases an idle build at once when the client goes away', async () => {
  const { publicId } = await insertBuild();
  const { hub } = stack.orchestrator;
  const before = hub.waiters;
  const body = JSON.stringify({ query: PROGRESS, variables: { id: publicId } });
  const headers = { 'content-type': 'application/json', accept: 'text/event-stream', authorization };
  const controller = new AbortController();
  await fetch(`${server.url}/graphql`, { method: 'POST', headers, body, signal: controller.signal });
  const client = openSocketClient();
  const waiting = client.iterate({ query: PROGRESS, variables: { id: publicId } }).next();
  await waitFor(() => server.subscriptionCount === 2);
  // They follow one build, and wait together.
  expect(hub.waiters).toBe(before + 1);
  controller.abort();
  client.terminate();
  await expect(waiting).rejects.toBeDefined();
  await waitFor(() => hub.waiters === before);
  expect(server.subscriptionCount).toBe(0);
});

it('refuses what is too complex', async () => {
  const { status, code, data } = await post(TOO_COMPLEX);
  expect({ status, code, data }).toEqual({ status: 400, code: 'QUERY_TOO_COMPLEX', data: undefined });
  const client = openSocketClient();
  const { value } = await client.iterate({ query: TOO_COMPLEX }).next();
  expect(value?.errors).toMatchObject([{ extensions: { code: 'QUERY_TOO_COMPLEX' } }]);
  await client.dispose();
});

it('does not tell a token of other projects that there is a build', async () => {
  const { publicId } = await insertBuild();
  const token = await createToken({ projectIds: [v7()] });
  expect((await post('query ($id: ID!) { build(id: $id) { id } }', { id: publicId }, token)).data).toEqual({
    build: null,
  });
  const headers = { accept: 'text/event-stream', authorization: token };
  const search = new URLSearchParams({ query: PROGRESS, variables: JSON.stringify({ id: publicId }) });
  const text = await (await fetch(`${server.url}/graphql?${search}`, { headers })).text();
  expect(text).toContain('"code":"NOT_FOUND"');
});

it('names the scope that is missing', async () => {
  const { publicId } = await insertBuild();
  const token = await createToken({ scopes: ['workers'] });
  const { errors } = await post('query ($id: ID!) { build(id: $id) { id } }', { id: publicId }, token);
  expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN', requiredScope: 'builds:read' } }]);
});
