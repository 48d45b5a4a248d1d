import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { readRegularFile } from '../../src/runtimes/read-file.ts';

test('a file is read whole; links, FIFOs, folders and missing files are refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-read-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const content = Buffer.alloc(1_000_000, 'content');
  await writeFile(join(folder, 'file'), content);
  expect(await buffer(readRegularFile(join(folder, 'file')))).toEqual(content);
  await symlink(join(folder, 'file'), join(folder, 'link'));
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  await mkdir(join(folder, 'folder'));
  for (const name of ['link', 'fifo', 'folder', 'missing']) {
    await expect(buffer(readRegularFile(join(folder, name)))).rejects.toThrow();
  }
});
