import { execFileSync } from 'node:child_process';
import { rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { agentMovedHead, createAgentRepository } from '../../src/git/agent-repository.ts';
import type { GitContext } from '../../src/git/git.ts';
import { checkOut, commitAsPerson, must, openSandbox, plainGit, type Sandbox, writeFiles } from './sandbox.ts';

let sandbox: Sandbox;
let context: GitContext;
let work: string;
let base: string;

beforeEach(async () => {
  sandbox = await openSandbox();
  await commitAsPerson(sandbox.remotePath, { 'a.txt': '1\n' });
  base = await commitAsPerson(sandbox.remotePath, { 'a.txt': '2\n' });
  context = await sandbox.context();
  work = context.workspace.paths.work;
  must(await checkOut(sandbox, context, 'feature/x'));
});
afterEach(() => sandbox[Symbol.asyncDispose]());

const moved = () => agentMovedHead(context, base);

test('log, status, diff and commit work for the agent, and it has no remote', async () => {
  expect(plainGit(work, 'status', '--porcelain=v2', '--branch').trim()).toBe(
    `# branch.oid ${base}\n# branch.head feature/x`,
  );
  expect(plainGit(work, 'log', '--format=%s').trim().split('\n')).toHaveLength(2);
  await writeFiles(work, { 'a.txt': '3\n' });
  expect(plainGit(work, 'diff')).toContain('+3');
  expect(plainGit(work, 'remote')).toBe('');
  const env = { PATH: process.env.PATH ?? '', HOME: context.workspace.paths.home };
  execFileSync('git', ['commit', '--quiet', '--all', '--message', 'mine'], { cwd: work, env });
  expect(plainGit(work, 'log', '-1', '--format=%an').trim()).toBe('Agent');
});

test('work in the tree alone does not move HEAD', async () => {
  await writeFiles(work, { 'b.txt': 'b\n' });
  plainGit(work, 'add', '--all');
  expect(await moved()).toBe(false);
  plainGit(work, 'pack-refs', '--all');
  expect(await moved()).toBe(false);
});

test.each([
  ['a commit', ['commit', '--quiet', '--allow-empty', '--message', 'x']],
  ['another branch', ['checkout', '--quiet', '-b', 'other']],
  ['a detached HEAD', ['checkout', '--quiet', '--detach']],
  ['an older commit', ['reset', '--quiet', '--hard', 'HEAD~1']],
])('%s is noticed', async (_, args) => {
  plainGit(work, ...args);
  expect(await moved()).toBe(true);
});

test('a commit is noticed in packed refs too', async () => {
  plainGit(work, 'commit', '--quiet', '--allow-empty', '--message', 'x');
  plainGit(work, 'pack-refs', '--all');
  expect(await moved()).toBe(true);
});

test('an unborn branch stays unborn until the agent commits', async () => {
  const remote = { url: join(sandbox.folder, 'empty.git'), credentials: null };
  plainGit(sandbox.folder, 'init', '--quiet', '--bare', remote.url);
  const empty = await sandbox.context({ buildId: 'build-2', remote });
  await checkOut({ ...sandbox, cache: join(sandbox.folder, 'empty-cache.git') }, empty);
  expect(await agentMovedHead(empty, null)).toBe(false);
  plainGit(empty.workspace.paths.work, 'commit', '--quiet', '--allow-empty', '--message', 'x');
  expect(await agentMovedHead(empty, null)).toBe(true);
});

test.each<[string, (git: string) => Promise<unknown> | unknown]>([
  ['no .git', (git) => rm(git, { recursive: true })],
  ['.git is a file', (git) => rm(git, { recursive: true }).then(() => writeFile(git, 'gitdir: /etc\n'))],
  ['.git is a link', (git) => rm(git, { recursive: true }).then(() => symlink(sandbox.remotePath, git))],
  ['HEAD is a link', (git) => rm(join(git, 'HEAD')).then(() => symlink('/etc/passwd', join(git, 'HEAD')))],
  ['HEAD is a folder', (git) => rm(join(git, 'HEAD')).then(() => writeFiles(git, { 'HEAD/x': '' }))],
  ['HEAD is a FIFO', (git) => rm(join(git, 'HEAD')).then(() => execFileSync('mkfifo', [join(git, 'HEAD')]))],
  ['HEAD is huge', (git) => truncate(join(git, 'HEAD'), 1024 ** 4)],
  ['HEAD is empty', (git) => truncate(join(git, 'HEAD'), 0)],
  ['the ref is huge', (git) => truncate(join(git, 'refs/heads/feature/x'), 1024 ** 4)],
  ['the ref is binary', (git) => writeFile(join(git, 'refs/heads/feature/x'), Buffer.alloc(41, 255))],
  [
    'packed-refs is huge',
    async (git) => {
      await rm(join(git, 'refs/heads/feature/x'));
      await writeFile(join(git, 'packed-refs'), `${base} refs/heads/feature/x\n${'#\n'.repeat(1024 * 1024)}`);
    },
  ],
])('is told without harm when %s', async (_, break_) => {
  await break_(join(work, '.git'));
  expect(await moved()).toBe(true);
});

test('can be given again over what the last agent left', async () => {
  await rm(join(work, '.git'), { recursive: true });
  await symlink(sandbox.remotePath, join(work, '.git'));
  must(await createAgentRepository(context, { branch: 'feature/x', baseSha: base }));
  expect(await moved()).toBe(false);
  expect(plainGit(sandbox.remotePath, 'rev-parse', 'main').trim()).toBe(base);
});
