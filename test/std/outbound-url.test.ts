import { expect, test } from 'vitest';
import { addressDenied, outboundUrlProblem } from '../../src/std/outbound-url.ts';
import { LOCAL_NAMES, PRIVATE_HOSTS } from './private-hosts.ts';

const strict = { allowPrivate: false };
const relaxed = { allowPrivate: true };

test.each([
  'http://bot.example.com/callback',
  'https://bot.example.com/callback?build=1',
  'HTTPS://BOT.EXAMPLE.COM:443/',
  'https://bot.example.com:8443/callback',
  'http://bot.example.com:80',
  'https://93.184.216.34/',
  'https://[2606:2800:220:1:248:1893:25c8:1946]/',
  'https://b\u00fccher.example/',
])('%s may be called', (url) => {
  expect(outboundUrlProblem(url, strict)).toBeNull();
});

// Whatever the policy: these are no addresses that a callback can go to.
test.each([
  ['', 'absolute http or https'],
  ['bot.example.com', 'absolute http or https'],
  ['/callback', 'absolute http or https'],
  ['http:', 'absolute http or https'],
  ['http://', 'absolute http or https'],
  ['http:///callback', 'absolute http or https'],
  ['http:bot.example.com', 'absolute http or https'],
  ['file:///etc/passwd', 'absolute http or https'],
  ['ftp://bot.example.com/', 'absolute http or https'],
  ['gopher://bot.example.com/_x', 'absolute http or https'],
  ['javascript:alert(1)', 'absolute http or https'],
  ['http://999999999999/', 'not a valid URL'],
  ['http://1.2.3.4.5/', 'not a valid URL'],
  ['http://bot.example.com:99999/', 'not a valid URL'],
  ['http://[fe80::1%25eth0]/', 'not a valid URL'],
  ['https://user:secret@bot.example.com/', 'user name or a password'],
  ['https://user@bot.example.com/', 'user name or a password'],
  ['https://bot.example.com/#part', 'fragment'],
  ['https://bot.example.com/#', 'fragment'],
  ['https://bot.exa\nmple.com/', 'white space'],
  [' https://bot.example.com/', 'white space'],
  ['https:\\\\bot.example.com/', 'backslashes'],
  ['https://bot.example.com/\0', 'white space'],
  [`https://bot.example.com/${'a'.repeat(2048)}`, '2048 characters'],
])('%j is refused', (url, reason) => {
  expect(outboundUrlProblem(url, strict)).toContain(reason);
  expect(outboundUrlProblem(url, relaxed)).toContain(reason);
});

test.each([1, 22, 25, 81, 1023, 2375, 3306, 5432, 6379, 6443, 9200, 10250, 11211, 27017])(
  'port %i is refused',
  (port) => {
    expect(outboundUrlProblem(`https://bot.example.com:${port}/`, strict)).toContain(`port ${port}`);
    expect(outboundUrlProblem(`https://bot.example.com:${port}/`, relaxed)).toBeNull();
  },
);

test.each(PRIVATE_HOSTS)('the address %s is refused', (host) => {
  expect(outboundUrlProblem(`http://${host}/`, strict)).toContain('private or reserved');
  expect(outboundUrlProblem(`http://${host}/`, relaxed)).toBeNull();
});

test.each(LOCAL_NAMES)('the name %s is refused', (host) => {
  expect(outboundUrlProblem(`http://${host}/`, strict)).toContain('reachable from the internet');
  expect(outboundUrlProblem(`http://${host}/`, relaxed)).toBeNull();
});

test.each([
  ...['0.0.0.0', '0.1.2.3', '10.0.0.0', '10.255.255.255', '100.64.0.1', '100.127.255.255', '127.0.0.1', '127.255.0.1'],
  ...['169.254.0.1', '169.254.169.254', '172.16.0.0', '172.31.255.255', '192.0.0.8', '192.0.2.1', '192.88.99.1'],
  ...['192.168.0.1', '198.18.0.1', '198.19.255.255', '198.51.100.7', '203.0.113.9', '224.0.0.1', '239.255.255.250'],
  ...['240.0.0.1', '255.255.255.255', '168.63.129.16', '::', '::1', '::ffff:7f00:1', '::ffff:8.8.8.8', '::7f00:1'],
  ...['64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '100::1', '2001::1', '2001:20::1', '2001:db8::1', '2002:7f00:1::'],
  ...['3fff::1', 'fc00::1', 'fd00:ec2::254', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '5f00::1'],
  ...['', 'example.com', '127.1', '1.2.3.4.5', 'g::1'],
])('the address %j is denied at connect time', (ip) => {
  expect(addressDenied(ip)).toBe(true);
});

test.each([
  ...['1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0'],
  ...['168.63.129.15', '172.15.255.255', '172.32.0.0', '192.167.255.255', '198.17.255.255', '223.255.255.255'],
  ...['2606:4700:4700::1111', '2a00:1450:4001:80b::200e', '2001:4860:4860::8888', '2003::1'],
])('the address %s is a public one', (ip) => {
  expect(addressDenied(ip)).toBe(false);
});
