import { lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkRoot, removeFalseRoot } from '../../../src/runtimes/inside/check-root.ts';

let builds: string;

beforeEach(async () => {
  builds = await mkdtemp(join(tmpdir(), 'slipway-builds-'));
  await mkdir(join(builds, 'other'));
  await writeFile(join(builds, 'other', 'work'), 'of the other build');
});
afterEach(() => rm(builds, { recursive: true, force: true }));

test('the root of a build is its own folder, or not there yet', async () => {
  await checkRoot(builds, 'other');
  await checkRoot(builds, 'none');
});

test.each([
  ['a link to the root of another build', () => symlink('other', join(builds, 'mine'))],
  ['a link to nowhere', () => symlink('nowhere', join(builds, 'mine'))],
  ['a file', () => writeFile(join(builds, 'mine'), '')],
])('%s is refused, and removed without what it leads to', async (_what, make) => {
  await make();
  await expect(checkRoot(builds, 'mine')).rejects.toThrow('The root of the build mine is not its own folder.');
  await removeFalseRoot(builds, 'mine');
  await expect(lstat(join(builds, 'mine'))).rejects.toThrow('ENOENT');
  expect(await readFile(join(builds, 'other', 'work'), 'utf8')).toBe('of the other build');
  await checkRoot(builds, 'mine');
});

test('a root that is a folder stays', async () => {
  await removeFalseRoot(builds, 'other');
  expect(await readFile(join(builds, 'other', 'work'), 'utf8')).toBe('of the other build');
});

test.each(['..', '../x', 'other/work', ''])('%j is no build', async (buildId) => {
  await expect(checkRoot(builds, buildId)).rejects.toThrow('A build id');
});
