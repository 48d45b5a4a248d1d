import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import pg from 'pg';
import { expect, test } from 'vitest';
import { isTransient } from '../../src/database/transient.ts';

const withCode = (code: string) => Object.assign(new Error('refused'), { code });

test.each([
  ...['08006', '25006', '40001', '40P01', '53100', '53200', '53300', '57P01', '57P03'],
  ...['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN'],
])('%s says nothing about the statement', (code) => {
  expect(isTransient(withCode(code))).toBe(true);
});

test.each(['23505', '22P02', '25P02', '42P01', 'ENOENT'])('%s will be the same next time', (code) => {
  expect(isTransient(withCode(code))).toBe(false);
});

test('a server that does not answer a new connection in time may do so the next time', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new pg.Client({ host: '127.0.0.1', port, connectionTimeoutMillis: 50 });
  const error = await client.connect().catch((reason: unknown) => reason);
  expect(isTransient(error), String(error)).toBe(true);
  server.close();
});
