/** Which workers a new one takes for dead. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isProcessDead, readProcessKey } from '../../src/workers/process-key.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let gone: number;

beforeAll(async () => {
  database = await openTestDatabase();
  const child = spawn('true');
  await once(child, 'exit');
  gone = child.pid ?? 0;
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

async function register(place = 'here') {
  const id = v7();
  const worker = { id, name: 'test', place, version: '1', capacity: 1, agents: [] };
  return { id, dead: await registerWorker(database.db, worker) };
}

const setProcess = (id: string, process: string) =>
  database.db.updateTable('workers').set({ process }).where('id', '=', id).execute();

test('a worker of this host whose process is gone is dead, once; one that lives and one elsewhere are not', async () => {
  const [alive, dead, elsewhere] = [await register(), await register(), await register('elsewhere')];
  const own = await readProcessKey();
  for (const { id } of [dead, elsewhere]) await setProcess(id, own.replace(/^\d+/, String(gone)));
  expect((await register()).dead).toEqual([dead.id]);
  expect((await register()).dead).toEqual([]);
  const stopped = await database.db.selectFrom('workers').select('id').where('stopped_at', 'is not', null).execute();
  expect(stopped).toEqual([{ id: dead.id }]);
  expect(alive.dead).toEqual([]);
});

describe('a process key', () => {
  const own = '1@100@boot@pid:[1]@host';

  test('names this process', async () => {
    const key = await readProcessKey();
    expect(await isProcessDead(key, key)).toBe(false);
    expect(await isProcessDead(key.replace('@', '@9'), key)).toBe(true);
    if (process.platform === 'linux') expect(key).toMatch(/^\d+@\d+@[0-9a-f-]{36}@pid:\[\d+\]@.+$/);
  });

  test.each([
    ['another boot of this machine: nothing of it lives', '1@100@other@pid:[1]@host', true],
    ['another machine of the same cluster: nothing is known', '1@100@other@pid:[1]@elsewhere', false],
    ['another boot, and an earlier version that told no host: nothing is known', '1@100@other@pid:[1]', false],
    ['another container: its pids mean nothing here', '1@1@boot@pid:[2]@host', false],
    ['a system that tells no boot: nothing is known', '1@1@@pid:[1]@host', false],
    ['the same container and another start: the pid was used again', '1@1@boot@pid:[1]@host', true],
  ])('of %s', async (_, key, dead) => {
    expect(await isProcessDead(key, own)).toBe(dead);
  });

  test('of a system without boot ids and namespaces is pid and start', async () => {
    expect(await isProcessDead(`${gone}@1@@`, '1@100@@')).toBe(true);
  });
});
