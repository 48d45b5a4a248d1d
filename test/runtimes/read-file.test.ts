import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { readRegularFile } from '../../src/runtimes/read-file.ts';

async function openRoot(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'slipway-read-')));
  onTestFinished(() => rm(folder, { recursive: true }));
  const root = join(folder, 'root');
  await mkdir(root);
  return root;
}

test('a file is read whole; links, FIFOs, folders and missing files are refused', async () => {
  const root = await openRoot();
  const content = Buffer.alloc(1_000_000, 'content');
  await writeFile(join(root, 'file'), content);
  expect(await buffer(readRegularFile(join(root, 'file'), { root }))).toEqual(content);
  expect(await buffer(readRegularFile(join(root, 'file'), { root, start: 999_990 }))).toEqual(
    content.subarray(999_990),
  );
  await symlink(join(root, 'file'), join(root, 'link'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  await mkdir(join(root, 'folder'));
  for (const name of ['link', 'fifo', 'folder', 'missing']) {
    await expect(buffer(readRegularFile(join(root, name), { root }))).rejects.toThrow();
  }
});

test('a folder that has become a link leads nowhere out of the root', async () => {
  const root = await openRoot();
  const outside = `${root}-outside`;
  for (const folder of [join(root, 'inside'), outside]) {
    await mkdir(folder);
    await writeFile(join(folder, 'file'), folder);
  }
  await symlink(join(root, 'inside'), join(root, 'near'));
  await symlink(outside, join(root, 'far'));
  await symlink('/', join(root, 'top'));
  expect((await buffer(readRegularFile(join(root, 'near', 'file'), { root }))).toString()).toBe(join(root, 'inside'));
  for (const path of [join(root, 'far', 'file'), join(root, 'top', outside, 'file'), join(outside, 'file')]) {
    await expect(buffer(readRegularFile(path, { root }))).rejects.toThrow('not where it should be');
  }
});

test.runIf(process.platform === 'linux')(
  'a folder that becomes a link again and again shows nothing else',
  async () => {
    const root = await openRoot();
    const outside = `${root}-outside`;
    for (const folder of [join(root, 'inside'), outside]) {
      await mkdir(folder);
      await writeFile(join(folder, 'file'), folder);
    }
    let isOver = false;
    const changes = (async () => {
      while (!isOver) {
        for (const target of [outside, join(root, 'inside')]) {
          await symlink(target, join(root, 'next'));
          await rename(join(root, 'next'), join(root, 'folder'));
        }
      }
    })();
    const seen = new Set<string>();
    for (let reads = 0; reads < 500; reads += 1) {
      const content = buffer(readRegularFile(join(root, 'folder', 'file'), { root }));
      seen.add(await content.then(String, () => 'refused'));
    }
    isOver = true;
    await changes;
    expect([...seen].toSorted()).toEqual([join(root, 'inside'), 'refused'].toSorted());
  },
);
