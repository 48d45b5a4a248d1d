/** What an agent can leave in its checkout besides code that runs (H111-H116), and how long it takes to refuse it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findSecrets } from '../../src/git/find-secrets.ts';
import type { GitContext } from '../../src/git/git.ts';
import {
  checkOut,
  commitAll,
  commitAsPerson,
  mustCommit,
  openSandbox,
  plainGit,
  type Sandbox,
  writeFiles,
} from '../git/sandbox.ts';

let sandbox: Sandbox;
let context: GitContext;
let base: string;
let work: string;

beforeEach(async () => {
  sandbox = await openSandbox();
  base = await commitAsPerson(sandbox.remotePath, { 'a.txt': '1\n' });
  context = await sandbox.context();
  await checkOut(sandbox, context);
  work = context.workspace.paths.work;
});
afterEach(() => sandbox[Symbol.asyncDispose]());

interface Hostile {
  readonly what: string;
  make(): Promise<unknown> | unknown;
  readonly kind: string;
  readonly message: RegExp;
}

const HOSTILE: readonly Hostile[] = [
  {
    what: 'a file of 5 GB',
    make: async () => {
      await writeFiles(work, { 'huge.bin': '' });
      await truncate(join(work, 'huge.bin'), 5 * 1024 ** 3);
    },
    kind: 'FILE_LIMIT',
    message: /^huge\.bin has 5368709120 bytes; a file may have 104857600\./,
  },
  {
    what: 'eleven files of 100 MB',
    make: async () => {
      for (let index = 0; index < 11; index += 1) {
        await writeFiles(work, { [`f${index}`]: '' });
        await truncate(join(work, `f${index}`), 100 * 1024 ** 2);
      }
    },
    kind: 'FILE_LIMIT',
    message: /^The changed files have \d+ bytes; a commit may have 1073741824\./,
  },
  {
    what: '20,001 files',
    make: () => makeFiles(20_001, 5),
    kind: 'FILE_LIMIT',
    message: /20001 files changed.* 20000/,
  },
  {
    // As long as the list of a million short ones.
    what: 'a list of names over 32 MiB',
    make: () => makeFiles(9_800, 200, ...Array<string>(15).fill('d'.repeat(220))),
    kind: 'FILE_LIMIT',
    message: /^The list of changed files exceeds 33554432 bytes; .* 20000 files/,
  },
  {
    what: 'a repository in the checkout',
    make: () => {
      plainGit(work, 'init', '--quiet', 'vendor');
    },
    kind: 'NESTED_REPOSITORY',
    message: /^vendor\/ is a git repository of its own\./,
  },
  ...['.GIT/config', 'GIT~1', 'sub/.Git/hooks/pre-commit', '.git\u200c/config'].map((path) => ({
    what: `the name ${JSON.stringify(path)}`,
    make: () => writeFiles(work, { [path]: 'x' }),
    kind: 'NESTED_REPOSITORY',
    message: /git does not store the path/,
  })),
];

function makeFiles(count: number, length: number, ...folders: readonly string[]): void {
  const folder = join(work, ...folders);
  mkdirSync(folder, { recursive: true });
  for (let index = 0; index < count; index += 1) writeFileSync(join(folder, String(index).padStart(length, '0')), '');
}

test.each(HOSTILE)('$what is refused by name', async ({ what, make, kind, message }) => {
  await make();
  const before = process.memoryUsage().rss;
  const started = performance.now();
  expect(await commitAll(context, base)).toMatchObject({ ok: false, kind, message: expect.stringMatching(message) });
  const took = Math.round(performance.now() - started);
  const mebibytes = Math.round((process.memoryUsage().rss - before) / 1024 ** 2);
  process.stdout.write(`${what}: refused in ${took} ms, ${mebibytes} MiB more\n`);
  expect(mebibytes).toBeLessThan(200);
});

test('links out of the workspace, odd names and what is no file are committed as what they are, or passed over', async () => {
  await symlink('/etc/passwd', join(work, 'passwd'));
  await symlink('../../..', join(work, 'up'));
  execFileSync('mkfifo', [join(work, 'pipe')]);
  const odd = ['-rf', '--force', 'a\nb', '\u202etxt.exe', 'HEAD', ':(top)x', '*'];
  await writeFiles(work, Object.fromEntries(odd.map((name) => [`odd/${name}`, 'x'])));
  const commit = await mustCommit(context, base);
  const rules = { registered: [], enabled: true, allowPaths: [] };
  expect(await findSecrets(context, { from: base, to: commit.sha, rules })).toEqual({ ok: true });
  expect(commit.filesChanged.map(({ path }) => path).sort()).toEqual(
    [...odd.map((name) => `odd/${name}`), 'passwd', 'up'].sort(),
  );
  const show = (path: string) => plainGit(context.workspace.paths.git, 'cat-file', 'blob', `${commit.sha}:${path}`);
  expect(show('passwd')).toBe('/etc/passwd');
});

test('a link in the place of a folder leads nobody out of the checkout', async () => {
  const withFolder = await commitAsPerson(sandbox.remotePath, { 'folder/x.txt': '1\n' });
  await checkOut(sandbox, context);
  const outside = join(sandbox.folder, 'outside');
  await writeFiles(outside, { 'x.txt': 'not ours\n', 'y.txt': 'not ours\n' });
  await writeFiles(work, { folder: null });
  await symlink(outside, join(work, 'folder'));
  const { sha } = await mustCommit(context, withFolder);
  expect(plainGit(context.workspace.paths.git, 'ls-tree', '-r', '--name-only', sha).trim().split('\n')).toEqual([
    'a.txt',
    'folder',
  ]);
});
