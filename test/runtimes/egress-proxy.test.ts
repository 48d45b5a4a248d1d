import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EgressOptions, openEgressProxy } from '../../src/runtimes/egress-proxy.ts';

let folder: string;
let server: Server;
let port: number;
let seen: { method: string; url: string; headers: IncomingHttpHeaders; body: string }[];
let refused: string[];
let opened: AsyncDisposableStack;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-egress-'));
  [seen, refused, opened] = [[], [], new AsyncDisposableStack()];
  server = createServer(async (request, response) => {
    const body = (await request.setEncoding('utf8').toArray()).join('');
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body });
    response.writeHead(201, { 'x-from': 'server', 'set-cookie': ['a=1', 'b=2'] });
    response.end(`got ${body}`);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  port = (server.address() as AddressInfo).port;
});

afterEach(async () => {
  await opened.disposeAsync();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(hosts: readonly string[], more: Partial<EgressOptions> & { trusted?: string[] } = {}) {
  const { trusted = [], ...options } = more;
  const socket = join(folder, 'proxy.sock');
  const onRefused = (message: string) => refused.push(message);
  opened.use(await openEgressProxy({ rules: { hosts, trusted }, socket, onRefused, ...options }));
  return socket;
}

/** Sends the bytes, and what is given for each answer so far; resolves with everything that came. */
async function talk(socket: string, first: string, second?: string): Promise<string> {
  const client = connect(socket);
  client.setEncoding('utf8').write(first);
  let received = '';
  for await (const chunk of client as AsyncIterable<string>) {
    received += chunk;
    if (second !== undefined && received.includes('\r\n\r\n')) {
      client.write(second);
      second = undefined;
    }
  }
  return received;
}

const resolveTo =
  (...addresses: string[]) =>
  async () =>
    addresses.map((address) => ({ address, family: 4 }));

test('plain HTTP goes through with its body, without what is between neighbours, to the host of the URL', async () => {
  const socket = await open([`127.0.0.1:${port}`]);
  const answer = await talk(
    socket,
    `POST http://127.0.0.1:${port}/path?a=b HTTP/1.1\r\nHost: evil.example\r\nProxy-Authorization: Basic eDp5\r\n` +
      'Connection: close, X-Mine\r\nX-Mine: 1\r\nX-Kept: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  );
  expect(answer).toMatch(/^HTTP\/1\.1 201 Created\r\n/);
  expect(answer).toMatch(/x-from: server\r\n/i);
  expect(answer.match(/set-cookie: [ab]=[12]/gi)).toHaveLength(2);
  expect(answer).toContain('got hello');
  expect(seen).toMatchObject([{ method: 'POST', url: '/path?a=b', body: 'hello' }]);
  expect(seen[0]?.headers).toMatchObject({ host: `127.0.0.1:${port}`, 'x-kept': '2' });
  for (const name of ['proxy-authorization', 'x-mine']) expect(seen[0]?.headers).not.toHaveProperty(name);
});

test('a tunnel carries bytes both ways', async () => {
  const socket = await open([`127.0.0.1:${port}`]);
  const answer = await talk(
    socket,
    `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`,
    'GET /inside HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  );
  expect(answer).toMatch(/^HTTP\/1\.1 200 Connection Established\r\n\r\nHTTP\/1\.1 201 Created\r\n/);
  expect(seen).toMatchObject([{ url: '/inside' }]);
});

test.each([
  'CONNECT evil.example:443',
  'CONNECT allowed.example:22',
  'CONNECT allowed.example@127.0.0.1:443',
  'CONNECT [::ffff:127.0.0.1]:443',
  'CONNECT 2130706433:443',
  'CONNECT 0x7f.1:443',
  'CONNECT :443',
  'CONNECT allowed.example',
  'CONNECT allowed.example:99999999',
  'GET http://evil.example/',
  'GET http://allowed.example@127.0.0.1/',
  'GET http://0177.0.0.1/',
  'GET https://allowed.example/',
  'GET ftp://allowed.example/',
  'GET /etc/passwd',
])('%s reaches nothing', async (line) => {
  const socket = await open(['allowed.example', '*.allowed.example'], {
    lookup: () => Promise.reject(new Error('nothing is to be looked up')),
  });
  const answer = await talk(socket, `${line} HTTP/1.1\r\nHost: allowed.example\r\nConnection: close\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 (400|403) /);
});

test('what is refused is said, with the name in printable characters', async () => {
  const socket = await open(['*'], { lookup: resolveTo('10.0.0.1') });
  await talk(socket, `CONNECT ${'a'.repeat(300)}\x1b[31m:443 HTTP/1.1\r\nConnection: close\r\n\r\n`);
  await talk(socket, 'CONNECT inside.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  expect(refused.at(-1)).toBe(
    'No connection to inside.example:443: the name stands for a private address. List the address itself to allow it.',
  );
  for (const message of refused) expect(message).toMatch(/^[\x20-\x7e]{1,350}$/);
});

test.each([['127.0.0.1'], ['93.184.216.34', '127.0.0.1'], ['169.254.169.254'], ['::ffff:127.0.0.1'], ['fd00::1']])(
  'a listed name that stands for %s is refused, whatever else it stands for',
  async (...addresses) => {
    const socket = await open([`name.example:${port}`], { lookup: resolveTo(...addresses) });
    for (const request of [`CONNECT name.example:${port}`, `GET http://name.example:${port}/`]) {
      const answer = await talk(socket, `${request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect(answer).toContain('403');
    }
    expect(seen).toEqual([]);
  },
);

test('a name is looked up once: what it stands for a moment later does not count', async () => {
  let lookups = 0;
  const socket = await open([], {
    trusted: [`name.example:${port}`],
    lookup: async () => {
      lookups += 1;
      return [{ address: lookups === 1 ? '127.0.0.1' : '127.0.0.9', family: 4 }];
    },
  });
  const answer = await talk(
    socket,
    `GET http://name.example:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
  );
  expect(answer).toContain('201');
  expect(lookups).toBe(1);
});

test('a server that is not there is a 502, and the proxy lives on', async () => {
  const socket = await open(['127.0.0.1:1', '*'], { lookup: async () => [] });
  for (const line of ['CONNECT 127.0.0.1:1', 'CONNECT nobody.example:443', 'GET http://nobody.example/']) {
    const answer = await talk(socket, `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 502 /);
  }
});
