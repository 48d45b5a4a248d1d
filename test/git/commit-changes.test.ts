import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { chmod, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FileChange } from '../../src/git/changes.ts';
import { commitChanges, readWorkTreeChanges } from '../../src/git/commit-changes.ts';
import type { GitContext } from '../../src/git/git.ts';
import {
  checkOut,
  commitAll,
  commitAsPerson,
  mustCommit,
  openSandbox,
  PERSON,
  plainGit,
  type Sandbox,
  writeFiles,
} from './sandbox.ts';

let sandbox: Sandbox;
let context: GitContext;
let work: string;
let base: string;

const long = Array.from({ length: 40 }, (_, index) => `line ${index}\n`).join('');
const binary = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256));

beforeEach(async () => {
  sandbox = await openSandbox();
  base = await commitAsPerson(sandbox.remotePath, {
    '.gitignore': 'ignored/\n',
    'a.txt': 'one\ntwo\n',
    'gone.txt': 'gone\n',
    'long.txt': long,
    'run.sh': '#!/bin/sh\n',
    'folder/x.txt': 'x\n',
  });
  context = await sandbox.context();
  work = context.workspace.paths.work;
  await checkOut(sandbox, context);
});
afterEach(() => sandbox[Symbol.asyncDispose]());

const show = (sha: string, path: string) => plainGit(context.workspace.paths.git, 'show', `${sha}:${path}`);
const change = (path: string, status: FileChange['status'], rest: Partial<FileChange> = {}): FileChange => ({
  path,
  status,
  previousPath: null,
  additions: 0,
  deletions: 0,
  ...rest,
});

test('commits new, changed, deleted, renamed, binary and executable files and names each', async () => {
  await writeFiles(work, { 'a.txt': 'one\nthree\nfour\n', 'gone.txt': null, 'new/b.txt': 'b\n', 'image.bin': binary });
  await writeFiles(work, { 'ignored/c.txt': 'not this\n' });
  await rename(join(work, 'long.txt'), join(work, 'longer.txt'));
  await chmod(join(work, 'run.sh'), 0o755);
  const commit = await mustCommit(context, base);
  expect(commit.filesChanged).toEqual([
    change('a.txt', 'MODIFIED', { additions: 2, deletions: 1 }),
    change('gone.txt', 'DELETED', { deletions: 1 }),
    change('image.bin', 'ADDED', { additions: null, deletions: null }),
    change('longer.txt', 'RENAMED', { previousPath: 'long.txt' }),
    change('new/b.txt', 'ADDED', { additions: 1 }),
    change('run.sh', 'MODIFIED'),
  ]);
  expect(commit.filesChangedTotal).toBe(6);
  const files = plainGit(context.workspace.paths.git, 'ls-tree', '-r', '--name-only', commit.sha).trim().split('\n');
  expect(files).toEqual(['.gitignore', 'a.txt', 'folder/x.txt', 'image.bin', 'longer.txt', 'new/b.txt', 'run.sh']);
  expect(plainGit(context.workspace.paths.git, 'ls-tree', commit.sha, 'run.sh')).toMatch(/^100755 /);
});

test('the list without a commit is the same, and asking for it changes nothing', async () => {
  await writeFiles(work, { 'a.txt': 'changed\n', 'b.txt': 'b\n' });
  const listed = await readWorkTreeChanges(context, { baseSha: base });
  const commit = await mustCommit(context, base);
  expect(listed).toEqual({ ok: true, filesChanged: commit.filesChanged, filesChangedTotal: 2 });
});

test('the same work, parent and date give the same sha, also after a crash in the middle', async () => {
  await writeFiles(work, { 'b.txt': 'b\n' });
  const { sha } = await mustCommit(context, base);
  await writeFile(join(context.workspace.paths.git, 'index.lock'), '');
  expect((await mustCommit(context, base)).sha).toBe(sha);
  const other = await sandbox.context({ buildId: 'build-2' });
  await checkOut(sandbox, other);
  await writeFiles(other.workspace.paths.work, { 'b.txt': 'b\n' });
  expect((await mustCommit(other, base)).sha).toBe(sha);
});

test('message, trailers, author and date are as asked', async () => {
  await writeFiles(work, { 'b.txt': 'b\n' });
  const commit = await commitChanges(context, {
    baseSha: base,
    message: 'Add b\n\nBecause\0 of c.\n',
    trailers: { 'Slipway-Build': 'build_1', 'Slipway-Attempt': '2\nEvil: yes' },
    date: new Date('2026-03-01T10:00:00.999Z'),
    author: PERSON,
  });
  const sha = commit.ok && commit.changed ? commit.sha : '';
  expect(plainGit(context.workspace.paths.git, 'cat-file', 'commit', sha).split('\n').slice(1)).toEqual([
    `parent ${base}`,
    'author Slipway <slipway@example.com> 1772359200 +0000',
    'committer Slipway <slipway@example.com> 1772359200 +0000',
    '',
    'Add b',
    '',
    'Because of c.',
    '',
    'Slipway-Build: build_1',
    'Slipway-Attempt: 2 Evil: yes',
    '',
  ]);
});

test('nothing changed: no commit, also when files were touched or hold ignored things only', async () => {
  await writeFiles(work, { 'a.txt': 'one\ntwo\n', 'ignored/x': 'x' });
  expect(await commitAll(context, base)).toEqual({ ok: true, changed: false });
});

test('what the agent committed itself is part of the one commit', async () => {
  await writeFiles(work, { 'b.txt': 'b\n' });
  plainGit(work, 'add', '--all');
  plainGit(work, 'commit', '--quiet', '--message', 'by the agent');
  await writeFiles(work, { 'c.txt': 'c\n' });
  const commit = await mustCommit(context, base);
  expect(commit.filesChanged.map((file) => file.path)).toEqual(['b.txt', 'c.txt']);
  expect(plainGit(context.workspace.paths.git, 'rev-parse', `${commit.sha}^`).trim()).toBe(base);
});

test('the first commit of an empty repository has no parent', async () => {
  const empty = join(sandbox.folder, 'empty.git');
  plainGit(sandbox.folder, 'init', '--quiet', '--bare', empty);
  const fresh = await sandbox.context({ buildId: 'build-2', remote: { url: empty, credentials: null } });
  await checkOut({ ...sandbox, cache: join(sandbox.folder, 'empty-cache.git') }, fresh);
  expect(await commitAll(fresh, null)).toEqual({ ok: true, changed: false });
  await writeFiles(fresh.workspace.paths.work, { 'a.txt': 'a\n' });
  const commit = await mustCommit(fresh, null);
  expect(commit.filesChanged).toEqual([change('a.txt', 'ADDED', { additions: 1 })]);
  expect(plainGit(fresh.workspace.paths.git, 'cat-file', 'commit', commit.sha)).not.toContain('parent');
});

test('names with a newline, a leading dash, quotes, glob signs or bytes that are no text', async () => {
  const names = ['new\nline', '-rf', '--force', '"quoted"', ':(exclude)*', 'tab\there', 'ünï', '*'];
  await writeFiles(work, Object.fromEntries(names.map((name) => [name, `${name}\n`])));
  await writeFile(Buffer.concat([Buffer.from(`${work}/`), Buffer.from([0x62, 0xff, 0xfe])]), 'bytes\n');
  const commit = await mustCommit(context, base);
  const paths = commit.filesChanged.map((file) => file.path);
  expect(paths.sort()).toEqual([...names, 'b\ufffd\ufffd'].sort());
  expect(show(commit.sha, '-rf')).toBe('-rf\n');
  const stored = execFileSync('git', ['ls-tree', '-z', '--name-only', commit.sha], {
    cwd: context.workspace.paths.git,
  });
  expect(stored.includes(Buffer.from([0x62, 0xff, 0xfe, 0]))).toBe(true);
});

test('links are committed as links and never followed', async () => {
  await symlink('/etc/passwd', join(work, 'passwd'));
  await symlink(sandbox.folder, join(work, 'outside'));
  await rm(join(work, 'a.txt'));
  await symlink('/etc/hostname', join(work, 'a.txt'));
  const commit = await mustCommit(context, base);
  expect(commit.filesChanged.map((file) => [file.path, file.status])).toEqual([
    ['a.txt', 'MODIFIED'],
    ['outside', 'ADDED'],
    ['passwd', 'ADDED'],
  ]);
  expect(show(commit.sha, 'passwd')).toBe('/etc/passwd');
});

test('a folder that became a link, a file that became a folder and a folder that became a file', async () => {
  await rename(join(work, 'folder'), join(work, 'moved'));
  await symlink('moved', join(work, 'folder'));
  await writeFiles(work, { 'a.txt': null });
  await writeFiles(work, { 'a.txt/inner.txt': 'inner\n' });
  const first = await mustCommit(context, base);
  const list = (sha: string) =>
    plainGit(context.workspace.paths.git, 'ls-tree', '-r', '--name-only', sha).trim().split('\n');
  expect(list(first.sha)).toEqual(
    expect.arrayContaining(['a.txt/inner.txt', 'folder', 'moved/x.txt', 'gone.txt', 'run.sh']),
  );
  expect(list(first.sha)).not.toContain('folder/x.txt');
  await rm(join(work, 'folder'));
  await writeFiles(work, { folder: 'a file now\n' });
  expect(show((await mustCommit(context, base)).sha, 'folder')).toBe('a file now\n');
});

test('FIFOs and sockets are passed over', async () => {
  execFileSync('mkfifo', [join(work, 'pipe'), join(work, 'folder/pipe')]);
  await rm(join(work, 'gone.txt'));
  execFileSync('mkfifo', [join(work, 'gone.txt')]);
  await writeFiles(work, { 'b.txt': 'b\n' });
  expect((await mustCommit(context, base)).filesChanged.map((file) => file.path)).toEqual(['b.txt']);
});

test('a repository inside of the checkout is refused, with or without commits, also instead of a file', async () => {
  const refused = (path: string) => ({ ok: false, kind: 'NESTED_REPOSITORY', message: expect.stringContaining(path) });
  plainGit(work, 'init', '--quiet', 'vendor/lib');
  expect(await commitAll(context, base)).toMatchObject(refused('vendor/lib'));
  await writeFiles(join(work, 'vendor/lib'), { 'x.txt': 'x' });
  plainGit(join(work, 'vendor/lib'), 'add', '--all');
  plainGit(join(work, 'vendor/lib'), 'commit', '--quiet', '--message', 'x');
  expect(await commitAll(context, base)).toMatchObject(refused('vendor/lib'));
  await rm(join(work, 'a.txt'));
  await rename(join(work, 'vendor/lib'), join(work, 'a.txt'));
  expect(await commitAll(context, base)).toMatchObject(refused('a.txt'));
  await rm(join(work, 'a.txt'), { recursive: true });
  expect(await commitAll(context, base)).toMatchObject({ ok: true, changed: true });
});

test.each(['.GIT/config', 'git~1', 'sub/.Git/hooks/pre-commit'])('a name that is .git elsewhere: %s', async (path) => {
  await writeFiles(work, { [path]: 'x' });
  expect(await commitAll(context, base)).toMatchObject({ ok: false, kind: 'NESTED_REPOSITORY' });
});

test('a file over 100 MiB is refused before it is stored', async () => {
  await writeFiles(work, { 'huge.bin': '' });
  await truncate(join(work, 'huge.bin'), 5 * 1024 ** 4);
  const answer = await commitAll(context, base);
  expect(answer).toMatchObject({ ok: false, kind: 'FILE_LIMIT', message: expect.stringContaining('huge.bin') });
  await truncate(join(work, 'huge.bin'), 100 * 1024 ** 2 + 1);
  expect(await commitAll(context, base)).toMatchObject({ ok: false, kind: 'FILE_LIMIT' });
});

test('more than 20,000 files are refused, 5,001 are committed with a list of 5,000', async () => {
  const writeMany = (from: number, to: number) => {
    for (let index = from; index < to; index += 1) writeFileSync(join(work, 'folder', `${index}`), '');
  };
  writeMany(0, 5001);
  const commit = await mustCommit(context, base);
  expect([commit.filesChanged.length, commit.filesChangedTotal]).toEqual([5000, 5001]);
  writeMany(5001, 20_001);
  const answer = await commitAll(context, base);
  expect(answer).toMatchObject({ ok: false, kind: 'FILE_LIMIT', message: expect.stringContaining('20001') });
});

test('line ends and text that a .gitattributes names are converted as git does it', async () => {
  await writeFiles(work, { '.gitattributes': '*.txt text\n', 'crlf.txt': 'a\r\nb\r\n' });
  expect(show((await mustCommit(context, base)).sha, 'crlf.txt')).toBe('a\nb\n');
  expect(await readFile(join(work, 'crlf.txt'), 'utf8')).toBe('a\r\nb\r\n');
});

test('a date whose seconds look like another format keeps its meaning', async () => {
  await writeFiles(work, { 'b.txt': 'b\n' });
  const request = { baseSha: base, message: 'x', trailers: {}, author: PERSON };
  const commit = await commitChanges(context, { ...request, date: new Date(5_000) });
  const sha = commit.ok && commit.changed ? commit.sha : '';
  expect(plainGit(context.workspace.paths.git, 'show', '--no-patch', '--format=%at', sha).trim()).toBe('5');
});
