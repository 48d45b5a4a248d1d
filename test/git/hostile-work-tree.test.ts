/** One trap of each kind, and the ways around them; all traps are in test/faults/hostile-git.test.ts. */
import { execFileSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nestedRepository, TRAPS } from './git-traps.ts';
import { commitAll, mustCommit, plainGit, writeFiles } from './sandbox.ts';
import { openTrapScene, publish, publishWithPlainGit, type TrapScene } from './trap-scene.ts';

const QUICK = ['hook pre-commit', 'core.fsmonitor', 'filter.process', 'diff.external', 'remote.<name>.receivepack'];

let scene: TrapScene;

beforeEach(async () => {
  scene = await openTrapScene();
});
afterEach(() => scene[Symbol.asyncDispose]());

test.each(TRAPS.filter(({ name }) => QUICK.includes(name)))('nothing runs: $name', async (trap) => {
  await writeFiles(scene.work, { 'a.txt': '2\n', 'b.evil': 'changed\n', 'c.evil': 'new\n' });
  await trap.set(scene);
  await publish(scene);
  expect(await scene.sprung()).toBe(false);
  publishWithPlainGit(scene, trap);
  expect(await scene.sprung(), 'plain git springs the trap').toBe(true);
});

test('nothing runs in a repository that the agent made inside of its checkout', async () => {
  await nestedRepository('nested')(scene);
  expect(await commitAll(scene.context, scene.base)).toMatchObject({ ok: false, kind: 'NESTED_REPOSITORY' });
  expect(await scene.sprung()).toBe(false);
});

test('nothing runs when the checkout itself looks like a bare repository', async () => {
  const bare = join(scene.sandbox.folder, 'bare');
  plainGit(scene.sandbox.folder, 'init', '--quiet', '--bare', bare);
  plainGit(bare, 'config', 'core.fsmonitor', scene.trap);
  plainGit(bare, 'config', 'core.worktree', scene.work);
  await rm(scene.git, { recursive: true });
  execFileSync('cp', ['-R', `${bare}/.`, scene.work]);
  await writeFiles(scene.work, { 'objects/keep.txt': 'x', 'refs/keep.txt': 'x' });
  await publish(scene);
  expect(await scene.sprung()).toBe(false);
});

test('nothing runs from the home of the agent', async () => {
  await writeFiles(scene.context.workspace.paths.home, {
    '.gitconfig': `[core]\n\tfsmonitor = ${scene.trap}\n`,
    '.config/git/config': `[core]\n\tfsmonitor = ${scene.trap}\n`,
  });
  await writeFiles(scene.work, { 'a.txt': '2\n' });
  await publish(scene);
  expect(await scene.sprung()).toBe(false);
});

test('a submodule that the agent filled stays at the commit it was', async () => {
  await nestedRepository('sub')(scene);
  await writeFiles(scene.work, { 'sub/x.txt': 'x', 'a.txt': '2\n' });
  const commit = await mustCommit(scene.context, scene.base);
  expect(commit.filesChanged.map((file) => file.path)).toEqual(['a.txt']);
});

test('a FIFO in the place of a .gitignore ends at the time limit', async () => {
  execFileSync('mkfifo', [join(scene.work, '.gitignore')]);
  const answer = await commitAll({ ...scene.context, timeoutMs: 500 }, scene.base);
  expect(answer).toMatchObject({ ok: false, kind: 'TIMEOUT' });
  expect((await readdir(scene.context.workspace.paths.git)).filter((name) => name.startsWith('index.'))).toEqual([]);
});
