import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureManagedRepository } from '../../src/git/managed-repository.ts';
import { commitAsPerson, openSandbox, plainGit, type Sandbox } from './sandbox.ts';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await openSandbox();
});
afterEach(() => sandbox[Symbol.asyncDispose]());

test('is a sound bare repository whose HEAD is the default branch', async () => {
  const path = join(sandbox.folder, 'managed/deep/app.git');
  await ensureManagedRepository(path, 'trunk');
  expect(plainGit(path, 'symbolic-ref', 'HEAD').trim()).toBe('refs/heads/trunk');
  expect(plainGit(path, 'rev-parse', '--is-bare-repository').trim()).toBe('true');
  plainGit(path, 'fsck', '--strict');
  const sha = await commitAsPerson(path, { 'a.txt': 'a\n' }, { branch: 'trunk' });
  expect(plainGit(path, 'rev-parse', 'HEAD').trim()).toBe(sha);
});

test('stays as it is when it exists, also when many make it at once', async () => {
  const path = join(sandbox.folder, 'app.git');
  await Promise.all(Array.from({ length: 8 }, () => ensureManagedRepository(path, 'main')));
  const sha = await commitAsPerson(path, { 'a.txt': 'a\n' });
  await ensureManagedRepository(path, 'other');
  expect(plainGit(path, 'rev-parse', 'HEAD').trim()).toBe(sha);
  expect((await readdir(sandbox.folder)).filter((name) => name.startsWith('app.git'))).toEqual(['app.git']);
});

test('does not take a folder that holds something else', async () => {
  const path = join(sandbox.folder, 'app.git');
  await mkdir(path);
  await writeFile(join(path, 'notes.txt'), 'mine');
  await expect(ensureManagedRepository(path, 'main')).rejects.toThrow();
  expect(await readdir(path)).toEqual(['notes.txt']);
});

test('a push may replace history and runs no hook', async () => {
  const path = sandbox.remotePath;
  const first = await commitAsPerson(path, { 'a.txt': '1\n' });
  await commitAsPerson(path, { 'a.txt': '2\n' });
  await mkdir(join(path, 'hooks'));
  await writeFile(join(path, 'hooks/pre-receive'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  plainGit(path, 'branch', 'old', first);
  const clone = join(sandbox.folder, 'clone');
  plainGit(sandbox.folder, 'clone', '--quiet', path, clone);
  plainGit(clone, 'push', '--quiet', '--force', 'origin', 'origin/old:refs/heads/main');
  expect(plainGit(path, 'rev-parse', 'main').trim()).toBe(first);
});
