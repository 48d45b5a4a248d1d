import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { type Callback, type SendOptions, sendCallback } from '../../src/callbacks/send-callback.ts';
import { VERSION } from '../../src/std/version.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Answer, lookupTo, openReceiver, type Receiver } from './receiver.ts';
import { CERTIFICATE, PRIVATE_KEY } from './tls-certificate.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
const opened = new Set<Receiver>();

afterEach(async () => {
  for (const receiver of opened) await receiver[Symbol.asyncDispose]();
  opened.clear();
});

async function open(answer?: Answer): Promise<Receiver> {
  const receiver = await openReceiver(answer ? { answer } : {});
  opened.add(receiver);
  return receiver;
}

const callbackTo = (url: string): Callback => ({
  deliveryId: randomUUID(),
  url,
  body: JSON.stringify({ text: 'Grüße \u{1f6a2}' }),
  secrets: [secret],
  sentAt: new Date(),
  traceparent: null,
});

const options = (changes: Partial<SendOptions> = {}): SendOptions => ({
  allowPrivate: true,
  signal: new AbortController().signal,
  timeoutMs: 5_000,
  ...changes,
});

const sendTo = (url: string, changes?: Partial<SendOptions>) => sendCallback(callbackTo(url), options(changes));

test('a receiver in another process verifies what it got with its own library', async () => {
  const receiver = await open((response) => response.writeHead(202).end('thanks'));
  const callback = callbackTo(receiver.url);
  const answer = await sendCallback(callback, options());
  expect(answer).toEqual({
    statusCode: 202,
    error: null,
    response: 'thanks',
    durationMs: expect.any(Number),
    retryAfterMs: null,
  });
  const [request] = receiver.received;
  expect(request).toMatchObject({ method: 'POST', path: '/callback', body: callback.body });
  expect(request?.headers).toMatchObject({
    'content-type': 'application/json',
    'user-agent': `slipway/${VERSION}`,
    'webhook-id': `msg_${callback.deliveryId.replaceAll('-', '')}`,
    connection: 'close',
  });
  const script = new URL('verify-webhook.ts', import.meta.url).pathname;
  const verify = (delivered: object) =>
    execFileSync(process.execPath, [script], {
      input: JSON.stringify({ secret, ...request, ...delivered }),
      stdio: 'pipe',
    });
  expect(JSON.parse(verify({}).toString())).toEqual(JSON.parse(callback.body));
  expect(() => verify({ body: `${callback.body} ` })).toThrow('No matching signature');
  expect(() => verify({ secret: `whsec_${randomBytes(32).toString('base64')}` })).toThrow('No matching signature');
});

test.each([400, 404, 410, 429, 500, 503])('the answer %i is a failure', async (statusCode) => {
  const receiver = await open((response) => response.writeHead(statusCode).end('no'));
  expect(await sendTo(receiver.url)).toMatchObject({
    statusCode,
    error: `The receiver answered ${statusCode}.`,
    response: 'no',
  });
});

test('a redirect is a failure and is not followed', async () => {
  const internal = await open();
  for (const statusCode of [301, 302, 303, 307, 308]) {
    const receiver = await open((response) => response.writeHead(statusCode, { location: internal.url }).end());
    const { error } = await sendTo(receiver.url);
    expect(error).toContain('redirects are not followed');
  }
  expect(internal.received).toEqual([]);
});

test.each([
  ['120', 120_000],
  ['0', 0],
  ['999999999', 24 * 3_600_000],
  ['soon', null],
  ['-5', null],
  ['1.5', null],
  ['Tue, 99 Foo GMT', null],
  ['Sat, 01 Jan 2000 00:00:00 GMT', 0],
])('Retry-After: %s', async (value, expected) => {
  const receiver = await open((response) => response.writeHead(429, { 'retry-after': value }).end());
  const { retryAfterMs } = await sendTo(receiver.url);
  expect(retryAfterMs).toBe(expected);
});

test('Retry-After as a date counts from the time of sending', async () => {
  const callback = { ...callbackTo(''), sentAt: new Date('2030-01-01T00:00:00Z') };
  const date = 'Tue, 01 Jan 2030 00:02:00 GMT';
  const receiver = await open((response) => response.writeHead(503, { 'retry-after': date }).end());
  const { retryAfterMs } = await sendCallback({ ...callback, url: receiver.url }, options());
  expect(retryAfterMs).toBe(120_000);
});

test('a receiver that never answers is given up', async () => {
  const receiver = await open(() => {});
  expect(await sendTo(receiver.url, { timeoutMs: 200 })).toMatchObject({
    statusCode: null,
    error: 'There was no complete answer within 0.2 s.',
  });
  await waitFor(async () => (await receiver.connections()) === 0);
});

test('a name that never resolves is given up', async () => {
  const { error } = await sendTo('http://bot.example.com/', { timeoutMs: 200, lookup: () => {} });
  expect(error).toContain('no complete answer');
});

test('an answer that trickles is given up, however often a byte comes', async () => {
  const timers: NodeJS.Timeout[] = [];
  const receiver = await open((response) => {
    response.writeHead(200);
    timers.push(setInterval(() => response.write('.'), 20));
  });
  const { statusCode, error, durationMs } = await sendTo(receiver.url, { timeoutMs: 300 });
  for (const timer of timers) clearInterval(timer);
  expect({ statusCode, error }).toEqual({ statusCode: 200, error: 'There was no complete answer within 0.3 s.' });
  expect(durationMs).toBeLessThan(5_000);
});

test('of a huge answer, compressed or not, 4 KiB are read', async () => {
  const receiver = await open((response) => {
    response.writeHead(200);
    const pour = () => {
      while (response.write('x'.repeat(65_536)));
      if (!response.destroyed) response.once('drain', pour);
    };
    pour();
  });
  const answer = await sendTo(receiver.url);
  expect(answer).toMatchObject({ statusCode: 200, error: null });
  expect(answer.response).toBe('x'.repeat(4096));
  await waitFor(async () => (await receiver.connections()) === 0);

  const mebibyte = gzipSync(Buffer.alloc(1024 * 1024));
  const bomb = Buffer.concat(Array.from({ length: 400 }, () => mebibyte));
  const before = process.memoryUsage().rss;
  const gzip = await open((response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
  const { response } = await sendTo(gzip.url);
  expect(response?.length).toBeLessThanOrEqual(4096);
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
});

test('an answer is stored as text, whatever it is', async () => {
  const bytes = Buffer.concat([Buffer.from('a\0b\xff', 'latin1'), Buffer.from('é'.repeat(3000))]);
  const receiver = await open((response) => response.end(bytes));
  const { response } = await sendTo(receiver.url);
  expect(response).toBe(`a\ufffdb\ufffd${'é'.repeat(2046)}`);
});

test('a huge header is a failure', async () => {
  const receiver = await open((response) => response.writeHead(200, { 'x-huge': 'x'.repeat(60_000) }).end());
  expect(await sendTo(receiver.url)).toMatchObject({ statusCode: null, error: expect.stringContaining('Header') });
});

test('a reset is a failure, before the answer and in it', async () => {
  const early = await open((response) => response.socket?.resetAndDestroy());
  expect(await sendTo(early.url)).toMatchObject({
    statusCode: null,
    error: expect.stringMatching(/hang up|ECONNRESET/),
  });
  const late = await open((response) => {
    response.writeHead(200, { 'content-length': 100 }).write('half', () => response.socket?.resetAndDestroy());
  });
  expect(await sendTo(late.url)).toMatchObject({ statusCode: 200, error: expect.stringMatching(/aborted|ECONNRESET/) });
});

test('an upgrade and nobody at the port are failures', async () => {
  const upgrade = await open((response) =>
    response.socket?.end('HTTP/1.1 101 Up\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
  );
  expect((await sendTo(upgrade.url, { timeoutMs: 1_000 })).error).not.toBeNull();
  await upgrade[Symbol.asyncDispose]();
  opened.delete(upgrade);
  expect((await sendTo(upgrade.url)).error).toContain('ECONNREFUSED');
});

test('it can be cut off', async () => {
  const receiver = await open(() => {});
  const cut = new AbortController();
  const sending = sendTo(receiver.url, { signal: cut.signal });
  await waitFor(() => receiver.received.length === 1);
  cut.abort();
  expect((await sending).error).not.toBeNull();
});

test.each([
  [['127.0.0.1']],
  [['10.0.0.1']],
  [['169.254.169.254']],
  [['100.100.100.200']],
  [['168.63.129.16']],
  [['fd00:ec2::254']],
  [['64:ff9b::a9fe:a9fe']],
  [['2002:7f00:1::']],
  [['::ffff:7f00:1']],
  [['93.184.216.34', '127.0.0.1']],
])('a name that stands for %j is refused when it is connected to', async (addresses) => {
  const receiver = await open();
  const url = `http://bot.example.com:${receiver.port}/`;
  const { statusCode, error } = await sendTo(url, { allowPrivate: false, lookup: lookupTo(...addresses) });
  expect({ statusCode, error }).toEqual({
    statusCode: null,
    error: 'The host stands for a private or reserved address.',
  });
  expect(receiver.received).toEqual([]);
  expect(await receiver.connections()).toBe(0);
});

test('a name is looked up once for each try: what was checked is what is connected to', async () => {
  const receiver = await open();
  let asked = 0;
  const lookup: LookupFunction = (hostname, lookupOptions, done) => {
    asked += 1;
    // Nobody listens at the second answer.
    lookupTo(asked === 1 ? '127.0.0.1' : '127.0.0.2')(hostname, lookupOptions, done);
  };
  expect((await sendTo(`http://bot.example.com:${receiver.port}/`, { lookup })).error).toBeNull();
  expect(asked).toBe(1);
});

test.each([
  'http://127.0.0.1:PORT/',
  'http://[::ffff:127.0.0.1]:PORT/',
  'http://2130706433:PORT/',
  'http://localhost:PORT/',
])('%s is refused without a look-up', async (url) => {
  const receiver = await open();
  const { error } = await sendTo(url.replace('PORT', String(receiver.port)), { allowPrivate: false });
  expect(error).toMatch(/^The URL must (not point|name a host)/);
  expect(receiver.received).toEqual([]);
});

test('HTTPS wants a certificate that is trusted and is for this name', async () => {
  const receiver = await openReceiver({ tls: { cert: CERTIFICATE, key: PRIVATE_KEY } });
  opened.add(receiver);
  const to = (host: string) => sendTo(`https://${host}:${receiver.port}/`, { lookup: lookupTo('127.0.0.1') });
  expect((await to('callbacks.example.com')).error).toContain('self-signed certificate');
  setDefaultCACertificates([...getCACertificates('default'), CERTIFICATE]);
  expect((await to('callbacks.example.com')).error).toBeNull();
  expect((await to('other.example.com')).error).toContain('does not match');
  expect(receiver.received).toHaveLength(1);
});
