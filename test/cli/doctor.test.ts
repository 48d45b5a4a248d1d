import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Finding } from '../../src/cli/finding.ts';
import { openEmptyDatabase, openTestDatabase } from '../support/database.ts';
import { bubblewrap } from '../support/sandbox.ts';
import { runCommand } from './run-command.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-doctor-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function doctor(environment: Record<string, string>) {
  const all = { SLIPWAY_PORT: '0', SLIPWAY_DATA: join(folder, 'data'), ...environment };
  const { exitCode, stdout } = await runCommand(['doctor', '--json'], { environment: all });
  const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
  const find = (name: string) => findings.find((finding) => finding.name === name);
  return { exitCode, ok, findings, find };
}

test('on a machine that is fit every line is ok or says what to do, and nothing stays behind', async () => {
  const { exitCode, ok, findings, find } = await doctor({});
  expect({ exitCode, ok }).toEqual({ exitCode: 0, ok: true });
  for (const { level, remedy } of findings) expect(remedy === null).toBe(level === 'ok');
  expect(find('database')?.message).toMatch(/^embedded, postgres \(PostgreSQL\) \d+/);
  expect(find('agent scripted')?.level).toBe('ok');
  expect(existsSync(join(folder, 'data'))).toBe(false);
});

test('a database is looked at: its version, LISTEN and the migrations', async () => {
  await using migrated = await openTestDatabase();
  const { find } = await doctor({ SLIPWAY_DATABASE_URL: migrated.url });
  expect(find('database')).toMatchObject({ level: 'ok', message: expect.stringContaining('Postgres') });
  expect(find('LISTEN')).toMatchObject({ level: 'ok' });
  expect(find('migrations')).toMatchObject({ level: 'ok' });
  await using empty = await openEmptyDatabase();
  const unmigrated = await doctor({ SLIPWAY_DATABASE_URL: empty.url });
  expect(unmigrated.find('migrations')).toMatchObject({ level: 'warn', remedy: expect.stringContaining('migrate') });
});

test('a database that does not answer fails, without its password in the message', async () => {
  const { exitCode, find } = await doctor({ SLIPWAY_DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:1/x' });
  expect(exitCode).toBe(1);
  expect(find('database')).toMatchObject({ level: 'fail', remedy: expect.stringContaining('SLIPWAY_DATABASE_URL') });
  expect(JSON.stringify(find('database'))).not.toContain('hunter2');
});

test('a port that another program has fails, one that Slipway has does not', async () => {
  const other = createServer((socket) => socket.end('hello'));
  const slipway = createHttpServer((_request, response) => response.end('{"status":"ready"}'));
  const ports: string[] = [];
  for (const server of [other, slipway]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports.push(String((server.address() as AddressInfo).port));
  }
  const [otherPort = '', slipwayPort = ''] = ports;
  expect((await doctor({ SLIPWAY_PORT: otherPort })).find('port')).toMatchObject({ level: 'fail' });
  expect((await doctor({ SLIPWAY_PORT: slipwayPort })).find('port')).toMatchObject({ level: 'ok' });
  other.close();
  slipway.close();
});

test('a data folder that cannot be used and an agent that is not there are told with what to do', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  const { exitCode, find } = await doctor({ SLIPWAY_DATA: join(file, 'data'), SLIPWAY_CLAUDE_PATH: '/nowhere/claude' });
  expect(exitCode).toBe(1);
  expect(find('data folder')).toMatchObject({ level: 'fail', remedy: expect.stringContaining('SLIPWAY_DATA') });
  expect(find('agent claude-code')).toMatchObject({ level: 'warn', remedy: expect.any(String) });
});

test('people get lines', async () => {
  const environment = { SLIPWAY_PORT: '0', SLIPWAY_DATA: join(folder, 'data') };
  const { exitCode, stdout } = await runCommand(['doctor'], { environment });
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^✔ ok {4}node +v\d+/);
  expect(stdout).toContain('Slipway can run here.');
});

test('the sandbox is tried out, and its absence is said with what it means', async () => {
  const { find } = await doctor({ SLIPWAY_SANDBOX: 'none' });
  expect(find('sandbox')).toMatchObject({
    level: 'warn',
    message: 'SLIPWAY_SANDBOX is none. Agents can do whatever this user can.',
    remedy: expect.any(String),
  });
  const required = await doctor({ SLIPWAY_SANDBOX: 'bubblewrap' });
  expect(required.find('sandbox')?.level).toBe(bubblewrap === null ? 'fail' : 'ok');
});
