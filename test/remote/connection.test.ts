/** Requests of a remote worker to something that is not always its server. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { ServerSilentError, SupersededError } from '../../src/errors.ts';
import { Connection, ServerRefusedError } from '../../src/remote/connection.ts';

type Answers = Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>>;

async function serve(answers: Answers) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const name = request.url?.split('/').at(-1) ?? '';
    asked.push(`${request.url} ${request.headers.authorization}`);
    answers[name]?.(request, response);
  });
  await new Promise<void>((open) => server.listen(0, '127.0.0.1', open));
  const { port } = server.address() as AddressInfo;
  const connection = new Connection({ url: `http://127.0.0.1:${port}/below/`, token: 'slipway_x' });
  return {
    connection,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const problem = (response: ServerResponse, status: number, members = {}) =>
  response.writeHead(status).end(JSON.stringify({ detail: 'No.', ...members }));

test('an answer that is cut, late, elsewhere or of somebody else is none, and a refusal is one', async () => {
  await using server = await serve({
    cut: (_, response) => response.writeHead(200, { 'content-length': 9 }).write('{"', () => response.destroy()),
    gone: ({ socket }) => socket.destroy(),
    late: (_, response) => response.writeHead(200, { 'content-length': 9 }).write('{"'),
    moved: (_, response) => response.writeHead(307, { location: '/worker/v1/other' }).end('{}'),
    page: (_, response) => response.end('<html>'),
    busy: (_, response) => problem(response, 503),
    over: (_, response) => problem(response, 409, { code: 'SUPERSEDED' }),
    no: (_, response) => problem(response, 404),
    yes: (_, response) => response.end('{"value":{"at":"2026-01-01T00:00:00.000Z"},"dates":[["at"]]}'),
  });
  const post = (name: string) => server.connection.post(`/${name}`, {}, { withinMs: 500 });
  for (const name of ['cut', 'gone', 'late', 'moved', 'page', 'busy']) {
    await expect(post(name), name).rejects.toThrow(ServerSilentError);
  }
  await expect(post('over')).rejects.toThrow(SupersededError);
  await expect(post('no')).rejects.toThrow(ServerRefusedError);
  expect(await post('yes')).toEqual({ at: new Date(Date.UTC(2026)) });
  expect(server.asked.at(-1)).toBe('/below/worker/v1/yes Bearer slipway_x');
  expect(server.asked.filter((line) => line.includes('other'))).toEqual([]);
  const signal = AbortSignal.timeout(20);
  await expect(server.connection.post('/late', {}, { signal })).rejects.toThrow(ServerSilentError);
});

test('what leaves in one flight of packets is not packed, and what is longer is', async () => {
  const bodies: string[] = [];
  await using server = await serve({
    async keep(request, response) {
      const sent = Buffer.concat(await request.toArray());
      const isPacked = request.headers['content-encoding'] === 'gzip';
      bodies.push(`${isPacked} ${(isPacked ? gunzipSync(sent) : sent).length}`);
      response.end('{"value":null}');
    },
  });
  await server.connection.post('/keep', { text: 'x'.repeat(14_000) });
  await server.connection.post('/keep', { text: 'x'.repeat(15_000) });
  await server.connection.put('/keep', Buffer.alloc(20_000));
  expect(bodies).toEqual(['false 14011', 'true 15011', 'false 20000']);
});
