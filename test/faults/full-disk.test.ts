/** Disks that fill up: under the workspaces of a worker, and under the embedded Postgres. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findBuild } from '../../src/builds/build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { isTransient } from '../../src/database/transient.ts';
import { DiskFullError } from '../../src/errors.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { waitFor } from '../support/wait-for.ts';

let opened: AsyncDisposableStack;

beforeEach(() => {
  opened = new AsyncDisposableStack();
});

afterEach(async () => {
  await opened.disposeAsync();
});

/** False where there can be none. */
function withDisk(megabytes: number): SmallDisk | null {
  const disk = mountSmallDisk(megabytes);
  if (disk) opened.use(disk);
  return disk;
}

async function start(stack: TestStack, ...steps: readonly object[]) {
  const project = await stack.createProject();
  const input = { projectId: project.id, spec: { prompt: script(...steps) } };
  return (await startBuild(stack.orchestrator, input, 'test')).build;
}

test('a build that fills the disk fails with that reason; what waits is done when there is room', async (context) => {
  const disk = withDisk(48);
  if (!disk) return context.skip();
  const stack = opened.use(
    await openTestStack({ SLIPWAY_DATA: disk.folder, SLIPWAY_MIN_FREE_MB: '8', SLIPWAY_LOG_LEVEL: 'silent' }),
  );
  await stack.openWorker(1);
  const greedy = await start(stack, { run: 'cat /dev/zero > big || { sleep 3; exit 1; }' });
  const modest = await start(stack, { write: { path: 'a', content: 'a' } });
  const ended = await stack.finished(greedy.id, 40_000);
  expect(ended.failure).toMatchObject({ reason: 'WORKSPACE_FULL', retryable: true });
  expect(await stack.finished(modest.id, 40_000)).toMatchObject({ status: 'COMPLETED' });
}, 120_000);

test('with too little room no build is taken or claimed, and both go on when there is room again', async (context) => {
  const disk = withDisk(48);
  if (!disk) return context.skip();
  const stack = opened.use(
    await openTestStack({ SLIPWAY_DATA: disk.folder, SLIPWAY_MIN_FREE_MB: '8', SLIPWAY_LOG_LEVEL: 'silent' }),
  );
  const waiting = await start(stack, { write: { path: 'a', content: 'a' } });
  const makeRoom = await disk.fill();
  const worker = await stack.openWorker(1);
  await expect(start(stack, { print: 'x' })).rejects.toThrow(DiskFullError);
  const begun = performance.now();
  // Longer than the worker looks for builds by itself.
  await waitFor(() => performance.now() - begun > 3_000);
  expect(worker.running).toBe(0);
  expect((await findBuild(stack.orchestrator.db, waiting.id))?.status).toBe('PENDING');
  await makeRoom();
  expect(await stack.finished(waiting.id, 20_000)).toMatchObject({ status: 'COMPLETED' });
  await start(stack, { print: 'x' });
}, 90_000);

test('the embedded Postgres survives a full disk, and loses nothing that it has acknowledged', async (context) => {
  const disk = withDisk(420);
  if (!disk) return context.skip();
  const folder = join(disk.folder, 'postgres');
  const logger = createLogger('silent');
  const postgres = opened.use(await openEmbeddedPostgres({ folder, durable: true, logger }));
  expect((await stat(join(folder, 'ballast'))).size).toBe(64 * 1024 * 1024);
  const ask = async (text: string, values: unknown[] = []) => {
    const client = new pg.Client({
      connectionString: postgres.url,
      connectionTimeoutMillis: 2_000,
      query_timeout: 10_000,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return (await client.query(text, values)).rows as { n: number }[];
    } finally {
      await client.end().catch(() => {});
    }
  };
  await ask('create table kept (n int primary key, filling text)');
  const acknowledged: number[] = [];
  let failed: unknown = null;
  const write = async (n: number) => {
    // Not compressible, so that a row takes its room.
    await ask("insert into kept select $1, string_agg(md5(random()::text), '') from generate_series(1, 60000)", [n]);
    acknowledged.push(n);
  };
  const hasBallast = () =>
    stat(join(folder, 'ballast')).then(
      () => true,
      () => false,
    );
  for (let n = 1; n <= 400 && failed === null && (await hasBallast()); n += 1) {
    await write(n).catch((error: unknown) => {
      failed = error;
    });
  }
  console.log(`${acknowledged.length} rows of 2 MB, then: ${failed ? String(failed) : 'the ballast went'}`);
  if (failed) expect(isTransient(failed), String(failed)).toBe(true);
  await waitFor(async () => !(await hasBallast()), { what: 'the ballast to go' });
  await expectAllThere(30_000);
  // There is room for who makes room.
  await ask('truncate kept');
  acknowledged.length = 0;
  await write(1_000);
  // Without the ballast, and to the last byte.
  const makeRoom = await disk.fill();
  const errors: unknown[] = [];
  for (let n = 1_001; n <= 1_020; n += 1) await write(n).catch((error: unknown) => errors.push(error));
  const unclear = errors.filter((error) => !isTransient(error) && !/ended unexpectedly/.test(String(error)));
  console.log(`without any room: ${errors.length} of 20 writes refused`);
  expect(unclear).toEqual([]);
  expect(errors.length).toBeGreaterThan(0);
  await makeRoom();
  await expectAllThere(30_000);
  await waitFor(
    () =>
      write(2_000).then(
        () => true,
        () => false,
      ),
    { deadlineMs: 30_000, what: 'a write' },
  );

  async function expectAllThere(deadlineMs: number): Promise<void> {
    const begun = performance.now();
    const read = () => ask('select n from kept').catch(() => null);
    const there = new Set((await waitFor(read, { deadlineMs, what: 'the recovery' })).map(({ n }) => n));
    console.log(`answers after ${Math.round(performance.now() - begun)} ms`);
    expect(acknowledged.filter((n) => !there.has(n))).toEqual([]);
  }
}, 180_000);
