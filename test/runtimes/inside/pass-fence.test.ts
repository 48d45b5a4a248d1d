import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { passFence } from '../../../src/runtimes/inside/pass-fence.ts';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-fence-'));
  path = join(folder, 'fence');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const pass = (attemptNo: number, mayRaise = false) => passFence(path, { buildId: 'build', attemptNo }, mayRaise);

test('an attempt whose successor has opened the workspace is refused, whatever it asks for', async () => {
  await pass(1, true);
  await pass(1);
  await pass(2, true);
  await expect(pass(1)).rejects.toThrow('Attempt 1 has been superseded: attempt 2 has the workspace.');
  await expect(pass(1, true)).rejects.toThrow('superseded');
  await pass(2);
  expect(await readFile(path, 'utf8')).toBe('2\n');
  expect(await readdir(folder)).toEqual(['fence']);
});

test('only who opens the workspace raises the fence', async () => {
  await pass(1, true);
  await pass(2);
  await pass(1);
});
