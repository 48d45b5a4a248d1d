import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { waitFor } from '../support/wait-for.ts';

let folder: string;
const logger = createLogger('silent');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-postgres-'));
  await chmod(folder, 0o711);
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const open = (durable = false) => openEmbeddedPostgres({ folder: join(folder, 'postgres'), durable, logger });

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test('data stays over a stop and a start, and closing twice is safe', async () => {
  const first = await open();
  await query(first.url, 'create table kept as select 42 as answer');
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  const second = await open();
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  await second[Symbol.asyncDispose]();
});

test('a postmaster whose parent was killed is adopted, with its data', async () => {
  const script = `
    import { openEmbeddedPostgres } from ${JSON.stringify(new URL('../../src/database/embedded-postgres.ts', import.meta.url).href)};
    import { createLogger } from ${JSON.stringify(new URL('../../src/telemetry/logger.ts', import.meta.url).href)};
    const opened = await openEmbeddedPostgres({ folder: process.argv[1], durable: false, logger: createLogger('silent') });
    console.log(opened.pid);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, join(folder, 'postgres')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  await waitFor(() => printed.includes('\n'), { deadlineMs: 20_000 });
  child.kill('SIGKILL');
  await waitFor(() => child.signalCode);
  const orphan = Number(printed);
  expect(isAlive(orphan)).toBe(true);
  const adopted = await open();
  expect(adopted.pid).toBe(orphan);
  expect(await query(adopted.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await adopted[Symbol.asyncDispose]();
  const pidFile = join(folder, 'postgres/data/postmaster.pid');
  await expect(readFile(pidFile)).rejects.toThrow('ENOENT');
});

test('an initdb that was cut short is not mistaken for a database', async () => {
  const first = await open();
  await first[Symbol.asyncDispose]();
  await rm(join(folder, 'postgres/data'), { recursive: true });
  const second = await open();
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await second[Symbol.asyncDispose]();
});

test.runIf(process.getuid?.() === 0)('root, in a folder that only root may enter', async () => {
  await chmod(folder, 0o700);
  const opened = await open();
  expect(await query(opened.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await opened[Symbol.asyncDispose]();
  const elsewhere = await realpath(join(folder, 'postgres'));
  expect(elsewhere).toMatch(/^\/var\/lib\/slipway\//);
  await rm(elsewhere, { recursive: true });
});

test('a Postgres that is killed is started again, on the same port and with its data', async () => {
  const opened = await open(true);
  await query(opened.url, 'create table kept as select 42 as answer');
  process.kill(opened.pid, 'SIGKILL');
  const answer = () => query(opened.url, 'select answer from kept').catch(() => null);
  expect(await waitFor(answer, { deadlineMs: 20_000 })).toEqual([{ answer: 42 }]);
  await opened[Symbol.asyncDispose]();
  expect(await answer()).toBeNull();
});
