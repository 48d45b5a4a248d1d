import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleCommit } from '../../src/git/bundle.ts';
import type { GitContext } from '../../src/git/git.ts';
import { pushCommit } from '../../src/git/push-commit.ts';
import { rebaseCommit } from '../../src/git/rebase-commit.ts';
import {
  checkOut,
  commitAll,
  commitAsPerson,
  must,
  mustCommit,
  openSandbox,
  plainGit,
  type Sandbox,
  writeFiles,
} from './sandbox.ts';

let sandbox: Sandbox;
let context: GitContext;
let base: string;

beforeEach(async () => {
  sandbox = await openSandbox();
  base = await commitAsPerson(sandbox.remotePath, { 'a.txt': '1\n2\n3\n', 'dropped.txt': 'x\n' });
  context = await sandbox.context();
  await checkOut(sandbox, context);
});
afterEach(() => sandbox[Symbol.asyncDispose]());

const inGit = (...args: string[]) => plainGit(context.workspace.paths.git, ...args).trim();

async function buildCommit(files: Record<string, string>): Promise<string> {
  await writeFiles(context.workspace.paths.work, files);
  return (await mustCommit(context, base)).sha;
}

test('puts the commit on top of what a person pushed, with its author, date and message', async () => {
  const sha = await buildCommit({ 'a.txt': '1\n2\nbuild\n' });
  const human = await commitAsPerson(sandbox.remotePath, { 'a.txt': 'human\n2\n3\n', 'b.txt': 'b\n' });
  const rebased = must(await rebaseCommit(context, { sha, onto: 'main' }));
  expect(rebased).toMatchObject({ baseSha: human });
  expect(inGit('show', `${rebased.sha}:a.txt`)).toBe('human\n2\nbuild');
  expect(inGit('rev-parse', `${rebased.sha}^`)).toBe(human);
  const identity = ['show', '--no-patch', '--format=%an %ae %ad %cn %ce %cd %B'];
  expect(inGit(...identity, rebased.sha)).toBe(inGit(...identity, sha));
  expect(await rebaseCommit(context, { sha, onto: 'main' })).toEqual(rebased);
  expect(await pushCommit(context, { sha: rebased.sha, branch: 'main', expected: human })).toEqual({ ok: true });
  expect(await rebaseCommit(context, { sha: rebased.sha, onto: 'main' })).toMatchObject({ ok: true });
});

test('nothing moved: the commit stays as it is', async () => {
  const sha = await buildCommit({ 'b.txt': 'b\n' });
  expect(await rebaseCommit(context, { sha, onto: 'main' })).toEqual({ ok: true, sha, baseSha: base });
});

test('a conflict names the files and changes nothing', async () => {
  const sha = await buildCommit({ 'a.txt': '1\nbuild\n3\n' });
  const human = await commitAsPerson(sandbox.remotePath, { 'a.txt': '1\nhuman\n3\n' });
  const answer = await rebaseCommit(context, { sha, onto: 'main' });
  expect(answer).toMatchObject({ ok: false, kind: 'CONFLICT', paths: ['a.txt'] });
  expect(answer).toHaveProperty('message', expect.stringContaining('a.txt'));
  expect(plainGit(sandbox.remotePath, 'rev-parse', 'main').trim()).toBe(human);
});

test('a rewritten branch does not get its dropped commits back', async () => {
  const dropped = await commitAsPerson(sandbox.remotePath, { 'secret.txt': 'dropped\n' });
  await checkOut(sandbox, context);
  await writeFiles(context.workspace.paths.work, { 'b.txt': 'b\n' });
  const { sha } = await mustCommit(context, dropped);
  plainGit(sandbox.remotePath, 'update-ref', 'refs/heads/main', base);
  await commitAsPerson(sandbox.remotePath, { 'c.txt': 'c\n' });
  const rebased = must(await rebaseCommit(context, { sha, onto: 'main' }));
  const files = inGit('ls-tree', '--name-only', rebased.sha).split('\n');
  expect(files).toEqual(['a.txt', 'b.txt', 'c.txt', 'dropped.txt']);
});

test('the first commit of a repository that a person began meanwhile', async () => {
  const remote = { url: join(sandbox.folder, 'empty.git'), credentials: null };
  plainGit(sandbox.folder, 'init', '--quiet', '--bare', '--initial-branch=main', remote.url);
  context = await sandbox.context({ buildId: 'build-2', remote });
  await checkOut({ ...sandbox, cache: join(sandbox.folder, 'empty-cache.git') }, context);
  await writeFiles(context.workspace.paths.work, { 'b.txt': 'b\n' });
  const { sha } = await mustCommit(context, null);
  const human = await commitAsPerson(remote.url, { 'a.txt': 'a\n' });
  const rebased = must(await rebaseCommit(context, { sha, onto: 'main' }));
  expect(rebased).toMatchObject({ baseSha: human });
  expect(inGit('ls-tree', '--name-only', rebased.sha).split('\n')).toEqual(['a.txt', 'b.txt']);
});

test('a branch that was deleted is STALE', async () => {
  const sha = await buildCommit({ 'b.txt': 'b\n' });
  plainGit(sandbox.remotePath, 'update-ref', '-d', 'refs/heads/main');
  expect(await rebaseCommit(context, { sha, onto: 'main' })).toMatchObject({ ok: false, kind: 'STALE' });
});

test('a git that cannot do it says so', async () => {
  const sha = await buildCommit({ 'b.txt': 'b\n' });
  await commitAsPerson(sandbox.remotePath, { 'c.txt': 'c\n' });
  const bin = join(sandbox.folder, 'bin');
  const PATH = process.env.PATH ?? '';
  await mkdir(bin);
  const script = `#!/bin/sh\ncase "$*" in *merge-tree*) exit 129 ;; esac\nPATH='${PATH}' exec git "$@"\n`;
  await writeFile(join(bin, 'git'), script);
  await chmod(join(bin, 'git'), 0o755);
  const old = { ...context, environment: { PATH: `${bin}:${PATH}` } };
  const answer = await rebaseCommit(old, { sha, onto: 'main' });
  expect(answer).toMatchObject({ kind: 'CONFLICT', message: expect.stringContaining('2.38'), paths: [] });
});

test('a bundle brings the commit into the clone of a person', async () => {
  const sha = await buildCommit({ 'b.txt': 'b\n' });
  const clone = join(sandbox.folder, 'clone');
  plainGit(sandbox.folder, 'clone', '--quiet', sandbox.remotePath, clone);
  for (const _ of ['first', 'again']) {
    const { path } = must(await bundleCommit(context, { sha, baseSha: base }));
    expect(plainGit(clone, 'bundle', 'verify', path)).toContain(base);
    plainGit(clone, 'fetch', '--quiet', path, 'main');
    expect(plainGit(clone, 'rev-parse', 'FETCH_HEAD').trim()).toBe(sha);
  }
  expect(plainGit(clone, 'show', `${sha}:b.txt`)).toBe('b\n');
  expect((await readdir(context.workspace.paths.root)).filter((name) => name.includes('bundle'))).toEqual([
    'commit.bundle',
  ]);
});

test('work goes on after a bundle as before', async () => {
  const sha = await buildCommit({ 'b.txt': 'b\n' });
  must(await bundleCommit(context, { sha, baseSha: base }));
  expect(await commitAll(context, base)).toMatchObject({ sha });
});
