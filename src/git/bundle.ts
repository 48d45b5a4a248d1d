import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeRef } from './bare-repository.ts';
import { type GitContext, git } from './git.ts';
import type { GitFailure } from './git-failure.ts';

/**
 * Writes the commit as a git bundle into the workspace's folder, for `git fetch <file> <branch>` in a clone that has
 * `baseSha`. The branch is the one that the checkout was prepared for. Safe to repeat.
 */
export async function bundleCommit(
  context: GitContext,
  { sha, baseSha }: { sha: string; baseSha: string | null },
): Promise<{ ok: true; path: string } | GitFailure> {
  const { paths } = context.workspace;
  const head = await readFile(join(paths.git, 'HEAD'), 'utf8');
  const ref = head.replace(/^ref: /, '').trim();
  await writeRef(paths.git, ref, sha);
  const path = join(paths.root, 'commit.bundle');
  // A killed git leaves its lock behind, and nobody else writes this file.
  await rm(`${path}.lock`, { force: true });
  const base = baseSha === null ? [] : [`^${baseSha}`];
  const bundled = await git(context, ['bundle', 'create', '--quiet', path, ref, ...base]);
  return bundled.ok ? { ok: true, path } : bundled;
}
