import { mkdtemp, rm, writeFile } from 'node:fs/promises';
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
});

test('of attempts that open the workspace at the same moment, none lowers the fence of a later one', async () => {
  for (let round = 1; round <= 50; round += 1) {
    const [earlier, later] = [2 * round - 1, 2 * round];
    await Promise.allSettled([pass(earlier, true), pass(later, true)]);
    await expect(pass(earlier)).rejects.toThrow('superseded');
    await pass(later);
  }
});

test('a fence that cannot be read lets nobody pass', async () => {
  await writeFile(path, 'no folder');
  await expect(pass(1)).rejects.toThrow('ENOTDIR');
});

test('only who opens the workspace raises the fence', async () => {
  await pass(1, true);
  await pass(2);
  await pass(1);
});
