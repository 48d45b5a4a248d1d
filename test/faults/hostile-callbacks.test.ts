/** Where a callback may go: what is refused when a build is started (H80-H88), and when it is sent (H89-H94). */
import { randomBytes, randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveSpec } from '../../src/builds/resolve-spec.ts';
import { sendCallback } from '../../src/callbacks/send-callback.ts';
import { readConfig } from '../../src/config/config.ts';
import { lookupTo, openReceiver, type Receiver } from '../callbacks/receiver.ts';
import { LOCAL_NAMES, PRIVATE_HOSTS } from '../std/private-hosts.ts';

const SCHEMES = ['file:///etc/passwd', 'ftp://bot.example.com/', 'gopher://bot.example.com/', 'data:text/plain,x'];
const CREDENTIALS = ['https://user:pw@bot.example.com/', 'https://user@bot.example.com/'];
const PORTS = [22, 25, 5432, 6379, 6443, 9200].map((port) => `http://bot.example.com:${port}/`);
const HOSTS = [...PRIVATE_HOSTS, ...LOCAL_NAMES].map((host) => `http://${host}/callback`);
const NO_URL = [
  '',
  'x',
  'http:///x',
  'https://',
  '//bot.example.com/',
  'https://bot.example.com/\n',
  'https:\\\\x.example/',
];

function start(callbackUrl: string) {
  const deps = { config: readConfig({}), templates: [], providers: ['scripted'], agents: new Map() };
  const project = { defaultBranch: 'main', template: null, settings: {} };
  return resolveSpec(deps, project, { prompt: 'x', provider: 'scripted', callbackUrl }, ['spec']);
}

test.each([...SCHEMES, ...CREDENTIALS, ...PORTS, ...HOSTS, ...NO_URL])('%j is CALLBACK_URL_DENIED', (url) => {
  expect(() => start(url)).toThrow(
    expect.objectContaining({
      code: 'CALLBACK_URL_DENIED',
      issues: [expect.objectContaining({ path: ['spec', 'callbackUrl'] })],
    }),
  );
});

let receiver: Receiver;
beforeAll(async () => {
  receiver = await openReceiver();
});
afterAll(() => receiver[Symbol.asyncDispose]());

const secrets = [`whsec_${randomBytes(32).toString('base64')}`];

function send(host: string, lookup: LookupFunction) {
  const url = `http://${host}:${receiver.port}/callback`;
  const callback = { deliveryId: randomUUID(), url, body: '{}', secrets, sentAt: new Date(), traceparent: null };
  return sendCallback(callback, { allowPrivate: false, signal: AbortSignal.timeout(10_000), lookup });
}

const ADDRESSES = [
  ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.100.100.200', '127.0.0.1', '127.255.0.1'],
  ...['168.63.129.16', '169.254.0.1', '169.254.169.254', '169.254.170.2', '172.16.0.1', '172.31.255.255'],
  ...['192.0.0.1', '192.0.0.192', '192.0.2.1', '192.88.99.1', '192.168.0.1', '192.168.255.255', '198.18.0.1'],
  ...['198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '::', '::1'],
  ...['::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:169.254.169.254', '::7f00:1', '64:ff9b::a9fe:a9fe'],
  ...['64:ff9b:1::1', '100::1', '2001::1', '2001:db8::1', '2002:7f00:1::', '2002:a9fe:a9fe::', 'fc00::1'],
  ...['fd00:ec2::254', 'fe80::1', 'fec0::1', 'ff02::1', '3fff::1'],
];

test.each(ADDRESSES)('a name that stands for %s is denied at connect time, also among public ones', async (address) => {
  for (const addresses of [[address], ['93.184.216.34', address], [address, '93.184.216.34']]) {
    const { statusCode, error } = await send('bot.example.com', lookupTo(...addresses));
    expect({ statusCode, error }).toEqual({
      statusCode: null,
      error: 'The host stands for a private or reserved address.',
    });
  }
  expect(receiver.received).toEqual([]);
});

test('a name that changes between check and connection gains nothing: it is asked once', async () => {
  let asked = 0;
  const rebinding: LookupFunction = (hostname, options, done) => {
    asked += 1;
    lookupTo(asked === 1 ? '192.0.2.1' : '127.0.0.1')(hostname, options, done);
  };
  expect((await send('bot.example.com', rebinding)).error).toContain('private or reserved');
  expect(asked).toBe(1);
  expect(receiver.received).toEqual([]);
});

test('the table has at least the 45 addresses that are known to be tried', () => {
  expect(new Set(ADDRESSES).size).toBeGreaterThanOrEqual(45);
});
