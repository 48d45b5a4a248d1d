import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { takeDataFolder } from '../../src/cli/data-folder.ts';
import { readProcessStart } from '../../src/runtimes/process-start.ts';

let parent: string;
let count = 0;
const freshFolder = () => join(parent, `${++count}`);
const lockOf = (folder: string) => join(folder, 'slipway.pid');

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'slipway-folder-'));
});

afterAll(() => rm(parent, { recursive: true, force: true }));

test('the folder is made for its owner alone, and free again afterwards', async () => {
  const folder = freshFolder();
  const taken = await takeDataFolder(folder);
  expect((await stat(folder)).mode & 0o066).toBe(0);
  await expect(takeDataFolder(folder)).rejects.toThrow(`Slipway runs already on ${folder} (process ${process.pid}).`);
  await taken[Symbol.asyncDispose]();
  await (await takeDataFolder(folder))[Symbol.asyncDispose]();
});

test('what a dead process, a reused pid or a crash left is no hindrance', async () => {
  const dead = spawn(process.execPath, ['-e', '']);
  await once(dead, 'exit');
  const start = await readProcessStart(process.pid);
  for (const left of [
    JSON.stringify({ pid: dead.pid, start }),
    JSON.stringify({ pid: process.pid, start: '1' }),
    '',
    '{"p',
  ]) {
    const folder = freshFolder();
    await (await takeDataFolder(folder))[Symbol.asyncDispose]();
    await writeFile(lockOf(folder), left);
    await using _taken = await takeDataFolder(folder);
    expect(JSON.parse(await readFile(lockOf(folder), 'utf8'))).toEqual({ pid: process.pid, start });
  }
});

test('a folder that cannot be made is one line', async () => {
  const file = freshFolder();
  await writeFile(file, '');
  await expect(takeDataFolder(join(file, 'data'))).rejects.toMatchObject({
    message: expect.stringMatching(/^The data folder .* cannot be used: .*$/),
    hints: [expect.stringContaining('SLIPWAY_DATA')],
  });
});

test.skipIf(process.getuid?.() === 0)('a folder that cannot be written is one line', async () => {
  const folder = freshFolder();
  await (await takeDataFolder(folder))[Symbol.asyncDispose]();
  await chmod(folder, 0o500);
  await expect(takeDataFolder(folder)).rejects.toThrow(/cannot be used: .*EACCES/);
});
