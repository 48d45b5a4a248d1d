import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openQueue, type Queue } from '../../src/queue/queue.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let queue: Queue;

beforeAll(async () => {
  database = await openTestDatabase();
  queue = await openQueue({ db: database.db, logger: createLogger('warn'), supervise: false });
});

afterAll(async () => {
  await queue[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const inTransaction = <T>(work: Parameters<ReturnType<TestDatabase['db']['transaction']>['execute']>[0]) =>
  database.db.transaction().execute(work) as Promise<T>;

const job = (priority = 0) => ({ id: v7(), priority, runAfter: null });

test('a build that was added in a rolled back transaction was never queued', async () => {
  const build = job();
  await expect(
    inTransaction(async (trx) => {
      await queue.add(trx, build);
      throw new Error('rolled back');
    }),
  ).rejects.toThrow('rolled back');
  expect(await inTransaction((trx) => queue.take(trx, 10))).toEqual([]);
});

test('priority first, then age; what a rolled back claim took is there again', async () => {
  const [low, high] = [job(0), job(5)];
  await inTransaction((trx) => queue.add(trx, low));
  await inTransaction((trx) => queue.add(trx, high));
  await expect(
    inTransaction(async (trx) => {
      expect(await queue.take(trx, 1)).toEqual([high.id]);
      throw new Error('died');
    }),
  ).rejects.toThrow('died');
  expect(await inTransaction((trx) => queue.take(trx, 1))).toEqual([high.id]);
  expect(await inTransaction((trx) => queue.take(trx, 5))).toEqual([low.id]);
});

test('a build is put back from any state, and completed or removed for good', async () => {
  const build = job();
  await inTransaction((trx) => queue.add(trx, build));
  await inTransaction((trx) => queue.putBack(trx, build));
  expect(await inTransaction((trx) => queue.take(trx, 5))).toEqual([build.id]);
  await inTransaction((trx) => queue.putBack(trx, build));
  expect(await inTransaction((trx) => queue.take(trx, 5))).toEqual([build.id]);
  await inTransaction((trx) => queue.complete(trx, build.id));
  await inTransaction((trx) => queue.putBack(trx, build));
  expect(await inTransaction((trx) => queue.take(trx, 5))).toEqual([build.id]);
  await inTransaction((trx) => queue.remove(trx, build.id));
  expect(await inTransaction((trx) => queue.take(trx, 5))).toEqual([]);
});

test('a build with a time is not given out before it', async () => {
  const build = { ...job(), runAfter: new Date(Date.now() + 3_600_000) };
  await inTransaction((trx) => queue.add(trx, build));
  expect(await inTransaction((trx) => queue.take(trx, 5))).toEqual([]);
});

test('a build that has a job already is not added in silence', async () => {
  const build = { ...job(), runAfter: new Date(Date.now() + 3_600_000) };
  await inTransaction((trx) => queue.add(trx, build));
  await expect(inTransaction((trx) => queue.add(trx, build))).rejects.toThrow('has a job already');
});
