/**
 * What an agent can leave in its checkout to make git run something. Each trap writes a marker file; none may appear
 * while we publish, and each must appear when plain git does the same, or the trap proves nothing.
 */
import { execFileSync } from 'node:child_process';
import { appendFile, chmod, cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { agentMovedHead } from '../../src/git/agent-repository.ts';
import { bundleCommit } from '../../src/git/bundle.ts';
import { readWorkTreeChanges } from '../../src/git/commit-changes.ts';
import type { GitContext } from '../../src/git/git.ts';
import { isOnRemote, pushCommit } from '../../src/git/push-commit.ts';
import { rebaseCommit } from '../../src/git/rebase-commit.ts';
import {
  checkOut,
  commitAll,
  commitAsPerson,
  commitSubmodule,
  must,
  mustCommit,
  openSandbox,
  plainGit,
  type Sandbox,
  writeFiles,
} from './sandbox.ts';

interface Scene {
  readonly work: string;
  /** The agent's `.git`. */
  readonly git: string;
  /** A program that writes the marker. */
  readonly trap: string;
  readonly remote: string;
}

interface Trap {
  readonly name: string;
  set(scene: Scene): Promise<unknown> | unknown;
  /** What plain git is asked to do, besides add, commit and push. */
  readonly provoke?: readonly string[];
}

let sandbox: Sandbox;
let context: GitContext;
let base: string;
/** A repository whose commit is the submodule `sub`. */
let library: string;
let markers: string;
let scene: Scene;

beforeEach(async () => {
  sandbox = await openSandbox();
  await commitAsPerson(sandbox.remotePath, { 'a.txt': '1\n', 'b.evil': 'b\n' });
  library = join(sandbox.folder, 'library');
  plainGit(sandbox.folder, 'init', '--quiet', library);
  await writeFiles(library, { 'lib.evil': 'x\n' });
  plainGit(library, 'add', '--all');
  plainGit(library, 'commit', '--quiet', '--message', 'x');
  base = await commitSubmodule(sandbox.remotePath, 'sub', plainGit(library, 'rev-parse', 'HEAD').trim());
  context = await sandbox.context();
  await checkOut(sandbox, context);
  markers = join(sandbox.folder, 'markers');
  await mkdir(markers);
  const trap = join(sandbox.folder, 'trap.sh');
  await writeFile(trap, `#!/bin/sh\n: > '${markers}/sprung'\n`);
  await chmod(trap, 0o755);
  const { work } = context.workspace.paths;
  scene = { work, git: join(work, '.git'), trap, remote: sandbox.remotePath };
});
afterEach(() => sandbox[Symbol.asyncDispose]());

const config =
  (key: string) =>
  ({ git, trap }: Scene) =>
    execFileSync('git', ['config', '--file', join(git, 'config'), key, trap]);

const hook =
  (name: string) =>
  async ({ git, trap }: Scene) => {
    await mkdir(join(git, 'hooks'), { recursive: true });
    await writeFile(join(git, 'hooks', name), `#!/bin/sh\n'${trap}' < /dev/null\n`, { mode: 0o755 });
  };

const attributes =
  (text: string) =>
  ({ work }: Scene) =>
    writeFiles(work, { '.gitattributes': `${text}\n` });

const both =
  (...steps: ((scene: Scene) => unknown)[]) =>
  async (at: Scene) => {
    for (const step of steps) await step(at);
  };

/** A clone of the library, trapped in two ways and with a change that springs them. */
const nestedRepository =
  (path: string) =>
  async ({ work, trap }: Scene) => {
    const nested = join(work, path);
    await rm(nested, { recursive: true, force: true });
    await cp(library, nested, { recursive: true });
    plainGit(nested, 'config', 'core.fsmonitor', trap);
    plainGit(nested, 'config', 'filter.evil.clean', trap);
    await writeFiles(nested, { '.git/info/attributes': '*.evil filter=evil\n', 'lib.evil': 'y\n' });
  };

const traps: readonly Trap[] = [
  { name: 'hook pre-commit', set: hook('pre-commit') },
  { name: 'hook post-index-change', set: hook('post-index-change') },
  { name: 'hook reference-transaction', set: hook('reference-transaction') },
  { name: 'hook commit-msg', set: hook('commit-msg') },
  { name: 'hook pre-push', set: hook('pre-push') },
  {
    name: 'core.hooksPath',
    set: async ({ work, git, trap }) => {
      await writeFiles(work, { 'hooks/pre-commit': `#!/bin/sh\n'${trap}' < /dev/null\n` });
      await chmod(join(work, 'hooks/pre-commit'), 0o755);
      await appendFile(join(git, 'config'), '[core]\n\thooksPath = hooks\n');
    },
  },
  { name: 'core.fsmonitor', set: config('core.fsmonitor') },
  { name: 'filter.clean', set: both(config('filter.evil.clean'), attributes('*.evil filter=evil')) },
  { name: 'filter.process', set: both(config('filter.evil.process'), attributes('*.evil filter=evil')) },
  {
    name: 'filter through .git/info/attributes',
    set: both(config('filter.evil.clean'), ({ git }) => writeFiles(git, { 'info/attributes': '*.evil filter=evil\n' })),
  },
  {
    name: 'filter through an included file',
    set: both(attributes('*.evil filter=evil'), async ({ work, git, trap }) => {
      await writeFiles(work, { 'included.txt': `[filter "evil"]\n\tclean = ${trap}\n` });
      await appendFile(join(git, 'config'), `[include]\n\tpath = ${join(work, 'included.txt')}\n`);
    }),
  },
  { name: 'diff.external', set: config('diff.external'), provoke: ['diff', 'HEAD'] },
  {
    name: 'diff.textconv',
    set: both(config('diff.evil.textconv'), attributes('*.evil diff=evil')),
    provoke: ['diff', 'HEAD'],
  },
  {
    name: 'gpg.program',
    set: both(config('gpg.program'), ({ git }) => appendFile(join(git, 'config'), '[commit]\n\tgpgSign = true\n')),
  },
  { name: 'remote.origin.receivepack', set: both(config('remote.origin.receivepack'), addOrigin) },
  {
    name: 'url.insteadOf with ext::',
    set: ({ git, trap, remote }) =>
      appendFile(
        join(git, 'config'),
        `[url "ext::${trap} "]\n\tinsteadOf = ${remote}\n[protocol "ext"]\n\tallow = always\n`,
      ),
    provoke: ['ls-remote'],
  },
  {
    name: '.git is a file that points elsewhere',
    set: both(hook('pre-commit'), async ({ work, git }) => {
      await rename(git, join(work, 'elsewhere'));
      await writeFile(git, 'gitdir: elsewhere\n');
    }),
  },
  { name: 'filter in a submodule that the agent filled', set: nestedRepository('sub') },
];

async function addOrigin({ git, remote }: Scene): Promise<void> {
  await appendFile(join(git, 'config'), `[remote "origin"]\n\turl = ${remote}\n`);
}

const sprung = async () => (await readdir(markers)).length > 0;

async function publish(): Promise<void> {
  must(await readWorkTreeChanges(context, { baseSha: base }));
  const { sha } = await mustCommit(context, base);
  await agentMovedHead(context, base);
  must(await bundleCommit(context, { sha, baseSha: base }));
  must(await isOnRemote(context, { sha, branch: 'main' }));
  const human = await commitAsPerson(sandbox.remotePath, { 'human.txt': 'x\n' });
  const rebased = must(await rebaseCommit(context, { sha, onto: 'main' }));
  must(await pushCommit(context, { sha: rebased.sha, branch: 'main', expected: human }));
  must(await isOnRemote(context, { sha: rebased.sha, branch: 'main' }));
}

function plainGitDoesTheSame(trap: Trap): void {
  const tried = [
    ['add', '--all'],
    ...(trap.provoke ? [[...trap.provoke, ...(trap.provoke.includes('ls-remote') ? [scene.remote] : [])]] : []),
    ['commit', '--message', 'x'],
    ['push', '--force', trap.name.includes('origin') ? 'origin' : scene.remote, 'HEAD:refs/heads/plain'],
  ];
  for (const args of tried) {
    try {
      plainGit(scene.work, ...args);
    } catch {
      // A trap may break the command that springs it.
    }
  }
}

test.each(traps)('nothing runs: $name', async (trap) => {
  await writeFiles(scene.work, { 'a.txt': '2\n', 'b.evil': 'changed\n', 'c.evil': 'new\n' });
  await trap.set(scene);
  await publish();
  expect(await sprung()).toBe(false);
  plainGitDoesTheSame(trap);
  expect(await sprung(), 'plain git springs the trap').toBe(true);
});

test('nothing runs in a repository that the agent made inside of its checkout', async () => {
  await nestedRepository('nested')(scene);
  expect(await commitAll(context, base)).toMatchObject({ ok: false, kind: 'NESTED_REPOSITORY' });
  expect(await sprung()).toBe(false);
});

test('nothing runs when the checkout itself looks like a bare repository', async () => {
  const bare = join(sandbox.folder, 'bare');
  plainGit(sandbox.folder, 'init', '--quiet', '--bare', bare);
  plainGit(bare, 'config', 'core.fsmonitor', scene.trap);
  plainGit(bare, 'config', 'core.worktree', scene.work);
  await rm(scene.git, { recursive: true });
  execFileSync('cp', ['-R', `${bare}/.`, scene.work]);
  await writeFiles(scene.work, { 'objects/keep.txt': 'x', 'refs/keep.txt': 'x' });
  await publish();
  expect(await sprung()).toBe(false);
});

test('nothing runs from the home of the agent', async () => {
  const { home } = context.workspace.paths;
  await writeFiles(home, {
    '.gitconfig': `[core]\n\tfsmonitor = ${scene.trap}\n`,
    '.config/git/config': `[core]\n\tfsmonitor = ${scene.trap}\n`,
  });
  await writeFiles(scene.work, { 'a.txt': '2\n' });
  await publish();
  expect(await sprung()).toBe(false);
});

test('a submodule that the agent filled stays at the commit it was', async () => {
  await nestedRepository('sub')(scene);
  await writeFiles(scene.work, { 'sub/x.txt': 'x', 'a.txt': '2\n' });
  const commit = await mustCommit(context, base);
  expect(commit.filesChanged.map((file) => file.path)).toEqual(['a.txt']);
});

test('a FIFO in the place of a .gitignore ends at the time limit', async () => {
  execFileSync('mkfifo', [join(scene.work, '.gitignore')]);
  const answer = await commitAll({ ...context, timeoutMs: 500 }, base);
  expect(answer).toMatchObject({ ok: false, kind: 'TIMEOUT' });
  expect((await readdir(context.workspace.paths.git)).filter((name) => name.startsWith('index.'))).toEqual([]);
});
