/** H1 to H18: requests that are no request, or come from where they must not. */
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import {
  type HostileAnswer,
  type HostileCase,
  type HostilePost,
  type HostileTable,
  type HostileTarget,
  post,
  readHostileAnswer,
} from './hostile-frame.ts';

const MIB = 1024 * 1024;
const BAD_REQUEST = { status: 400, code: 'BAD_REQUEST' };
const NOT_JSON = { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' };
const EVIL = 'https://evil.example';
/** A mutation that would leave a project behind. */
const CREATE = 'mutation { createProject(input: { name: "Hostile" }) { __typename } }';

function body(h: number, name: string, sent: object | string, expected: object = BAD_REQUEST): HostileCase {
  return { h, name, send: (target) => post(target, sent), expected };
}

/** Sends it, and counts the projects that it has made. */
function withoutEffect(h: number, name: string, sent: string, options: HostilePost, expected: object): HostileCase {
  return {
    h,
    name,
    send: async (target) => {
      const answer = await post(target, options.method === 'GET' ? null : sent, options);
      const projects = await target.db.selectFrom('projects').select('id').execute();
      return { ...answer, projects: projects.length };
    },
    expected: { ...expected, projects: 0 },
  };
}

/** What the server answers to these very bytes. */
function sendRaw(
  { origin }: HostileTarget,
  head: readonly string[],
  chunks: readonly string[],
): Promise<HostileAnswer> {
  const { port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1');
    let text = '';
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    // A server that has answered may cut who goes on sending.
    socket.on('error', (error) => (text === '' ? reject(error) : socket.destroy()));
    socket.on('close', () => {
      const [top = '', ...rest] = text.split('\r\n\r\n');
      resolve(
        readHostileAnswer(Number(/^HTTP\/1\.1 (\d+)/.exec(top)?.[1]), {}, /\{.*\}/s.exec(rest.join())?.[0] ?? ''),
      );
    });
    socket.write(`${[...head, 'Connection: close'].join('\r\n')}\r\n\r\n`);
    for (const chunk of chunks) socket.write(chunk);
  });
}

const postHead = ({ authorization }: HostileTarget, ...more: readonly string[]) => [
  'POST /graphql HTTP/1.1',
  'Host: localhost',
  'Content-Type: application/json',
  `Authorization: ${authorization}`,
  ...more,
];

function chunked(bytes: number): string[] {
  const part = 'x'.repeat(64 * 1024);
  const chunk = `${part.length.toString(16)}\r\n${part}\r\n`;
  return Array.from({ length: Math.ceil(bytes / part.length) }, () => chunk);
}

const bodies: readonly HostileCase[] = [
  body(1, 'an empty body', ''),
  body(2, 'a body that is no JSON', '{"query": "{ viewer'),
  body(2, 'a body of half a character', Buffer.from([0x22, 0xc3, 0x22])),
  body(3, 'null', 'null'),
  body(4, 'a list of operations', [{ query: '{ viewer { id } }' }, { query: '{ viewer { id } }' }]),
  body(4, 'an empty list', []),
  body(5, 'a query that is a number', { query: 5 }),
  body(5, 'no query', {}),
  body(6, 'variables that are a list', { query: '{ viewer { id } }', variables: [] }),
  body(6, 'variables that are a text', { query: '{ viewer { id } }', variables: '{}' }),
  body(7, 'an unknown key', { query: '{ viewer { id } }', extra: 1 }),
  body(7, 'a name that is a number', { query: '{ viewer { id } }', operationName: 1 }),
  body(
    7,
    'nested 100,000 levels',
    `{"query":"{ viewer { id } }","variables":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
    {
      status: 200,
    },
  ),
];

const types: readonly HostileCase[] = [
  [8, 'application/x-www-form-urlencoded', `query=${encodeURIComponent(CREATE)}`],
  [
    9,
    'multipart/form-data; boundary=b',
    `--b\r\nContent-Disposition: form-data; name="query"\r\n\r\n${CREATE}\r\n--b--`,
  ],
  [10, 'text/plain', JSON.stringify({ query: CREATE })],
  [11, 'application/graphql', CREATE],
  [11, 'application/json, text/plain', JSON.stringify({ query: CREATE })],
].map(([h, type, sent]) =>
  withoutEffect(Number(h), String(type), String(sent), { headers: { 'content-type': String(type) } }, NOT_JSON),
);

const inUrl = (query: string) => `/graphql?query=${encodeURIComponent(query)}`;
const methods: readonly HostileCase[] = [
  withoutEffect(
    12,
    'a mutation by GET',
    '',
    { method: 'GET', path: inUrl(CREATE) },
    {
      status: 405,
      code: 'METHOD_NOT_ALLOWED',
      headers: { allow: 'POST' },
    },
  ),
  ...['PUT', 'DELETE', 'PATCH'].map((method) =>
    withoutEffect(13, method, JSON.stringify({ query: CREATE }), { method }, { status: 405 }),
  ),
  ...['/', '/graphql/', '//graphql', '/v1/graphql', '/.env', `/${'a'.repeat(8_000)}`].map((path) =>
    withoutEffect(14, `the path ${path.slice(0, 30)}`, JSON.stringify({ query: CREATE }), { path }, { status: 404 }),
  ),
];

const sizes: readonly HostileCase[] = [
  body(
    15,
    'a body of 2 MB',
    { query: '{ viewer { id } }', variables: { a: 'x'.repeat(2 * MIB) } },
    {
      status: 413,
      code: 'REQUEST_ENTITY_TOO_LARGE',
    },
  ),
  {
    h: 15,
    name: 'a body of 2 MB that does not say its length',
    send: (target) => sendRaw(target, postHead(target, 'Transfer-Encoding: chunked'), chunked(2 * MIB)),
    expected: { status: 413 },
  },
  {
    h: 15,
    name: 'a length and chunks at once',
    send: (target) =>
      sendRaw(target, postHead(target, 'Content-Length: 4', 'Transfer-Encoding: chunked'), ['0\r\n\r\n']),
    expected: { status: 400 },
  },
  {
    h: 15,
    name: 'headers of 32 KiB',
    send: (target) => sendRaw(target, postHead(target, `X-Long: ${'a'.repeat(32 * 1024)}`), []),
    expected: { status: 431 },
  },
  {
    h: 16,
    name: 'a gzip bomb',
    send: (target) =>
      post(target, gzipSync(JSON.stringify({ query: CREATE, variables: { a: 'x'.repeat(50 * MIB) } })), {
        headers: { 'content-encoding': 'gzip' },
      }),
    expected: { status: 415, code: 'UNSUPPORTED_CONTENT_ENCODING' },
  },
];

const origins: readonly HostileCase[] = [
  withoutEffect(
    17,
    'a foreign origin with a cookie',
    JSON.stringify({ query: CREATE }),
    {
      headers: { origin: EVIL, cookie: 'session=1' },
    },
    { status: 403, code: 'ORIGIN_NOT_ALLOWED' },
  ),
  withoutEffect(
    17,
    'the origin null',
    JSON.stringify({ query: CREATE }),
    { headers: { origin: 'null' } },
    {
      status: 403,
      code: 'ORIGIN_NOT_ALLOWED',
    },
  ),
  {
    h: 18,
    name: 'a preflight of a foreign origin',
    send: async (target) => {
      const headers = { origin: EVIL, 'access-control-request-method': 'POST' };
      const answer = await post(target, null, { method: 'OPTIONS', headers });
      return { ...answer, allowed: answer.headers['access-control-allow-origin'] ?? null };
    },
    expected: { status: 403, code: 'ORIGIN_NOT_ALLOWED', allowed: null },
  },
  {
    h: 18,
    name: 'a Host that is none',
    send: (target) => sendRaw(target, ['GET /graphql HTTP/1.1', 'Host: a b'], []),
    expected: BAD_REQUEST,
  },
];

export const HTTP_TABLES: readonly HostileTable[] = [
  { noun: 'bodies', cases: bodies },
  { noun: 'media types', cases: types },
  { noun: 'methods and paths', cases: methods },
  { noun: 'sizes', cases: sizes },
  { noun: 'origins', cases: origins },
];
