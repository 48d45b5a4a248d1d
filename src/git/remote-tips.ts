import { type GitContext, git } from './git.ts';
import type { GitFailure } from './git-failure.ts';

/** Where these branches stand on the remote now; a branch that does not exist there is not in the map. */
export async function readRemoteTips(
  context: GitContext,
  branches: readonly string[],
): Promise<{ ok: true; tips: ReadonlyMap<string, string> } | GitFailure> {
  const refs = branches.map((branch) => `refs/heads/${branch}`);
  const listed = await git(context, ['ls-remote', '--', context.remote.url, ...refs], { remote: true });
  if (!listed.ok) return listed;
  const tips = new Map<string, string>();
  for (const line of listed.stdout.toString().split('\n')) {
    const [sha, ref] = line.split('\t');
    // git's patterns also match `refs/heads/x/refs/heads/<branch>`.
    if (sha !== undefined && ref !== undefined && refs.includes(ref)) tips.set(ref.slice('refs/heads/'.length), sha);
  }
  return { ok: true, tips };
}

/** Has the remote any branch at all? */
export async function hasBranches(context: GitContext): Promise<{ ok: true; answer: boolean } | GitFailure> {
  const listed = await git(context, ['ls-remote', '--heads', '--', context.remote.url], { remote: true });
  return listed.ok ? { ok: true, answer: listed.stdout.length > 0 } : listed;
}

/**
 * Brings a commit of the remote with its history into `gitDir`. No ref and no FETCH_HEAD is written, so that fetches
 * into one repository do not meet. STALE when the remote does not give the commit any more.
 */
export async function fetchCommit(
  context: GitContext,
  { gitDir, sha }: { gitDir: string; sha: string },
): Promise<{ ok: true } | GitFailure> {
  const flags = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-auto-maintenance', '--no-recurse-submodules'];
  const fetched = await git(context, ['fetch', ...flags, '--', context.remote.url, sha], { gitDir, remote: true });
  return fetched.ok ? { ok: true } : fetched;
}
