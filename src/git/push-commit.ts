import { failureFromStderr, type GitContext, type GitOutput, git, withoutSecrets } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';
import { fetchCommit, readRemoteTips } from './remote-tips.ts';

export interface PushRequest {
  readonly sha: string;
  readonly branch: string;
  /** Where the branch must stand on the remote for the push to happen; null: it must not exist. */
  readonly expected: string | null;
}

/**
 * Pushes one commit to one branch. Repeating a push that arrived is `ok`. STALE: the branch is not at `expected` any
 * more. REJECTED: the remote's hook or protection refused, with its words in the message. UNREACHABLE: may work later.
 * After UNREACHABLE, TIMEOUT or ABORTED the push may have arrived: ask `isOnRemote`.
 */
export async function pushCommit(
  context: GitContext,
  { sha, branch, expected }: PushRequest,
): Promise<{ ok: true } | GitFailure> {
  const ref = `refs/heads/${branch}`;
  const lease = `--force-with-lease=${ref}:${expected ?? ''}`;
  const args = ['push', '--porcelain', lease, '--', context.remote.url, `${sha}:${ref}`];
  const pushed = await git(context, args, { remote: true, accept: [1] });
  if (!pushed.ok) return pushed;
  return pushed.exitCode === 0 ? { ok: true } : refusal(context, branch, pushed);
}

/** Where the branch stands on the remote now; null when it does not exist there. */
export async function remoteTip(
  context: GitContext,
  branch: string,
): Promise<{ ok: true; sha: string | null } | GitFailure> {
  const read = await readRemoteTips(context, [branch]);
  return read.ok ? { ok: true, sha: read.tips.get(branch) ?? null } : read;
}

/** Is the commit the tip of the remote's branch, or part of its history? Works in an empty git folder too. */
export async function isOnRemote(
  context: GitContext,
  { sha, branch }: { sha: string; branch: string },
): Promise<{ ok: true; answer: boolean } | GitFailure> {
  const tip = await remoteTip(context, branch);
  if (!tip.ok) return tip;
  if (tip.sha === null || tip.sha === sha) return { ok: true, answer: tip.sha === sha };
  const created = await git(context, ['init', '--quiet', '--bare', '--template=']);
  if (!created.ok) return created;
  const fetched = await fetchCommit(context, { gitDir: context.workspace.paths.git, sha: tip.sha });
  if (!fetched.ok) return fetched;
  // 128: the commit is not here at all, although the whole history of the tip is.
  const tested = await git(context, ['merge-base', '--is-ancestor', sha, tip.sha], { accept: [1, 128] });
  return tested.ok ? { ok: true, answer: tested.exitCode === 0 } : tested;
}

/** Is the commit here, to be pushed? False only when git says so. */
export async function isInWorkspace(context: GitContext, { sha }: { sha: string }): Promise<boolean> {
  const found = await git(context, ['cat-file', '-e', `${sha}^{commit}`]);
  return found.ok || found.kind === 'ABORTED' || found.kind === 'TIMEOUT';
}

/** `!<TAB>from:to<TAB>[kind] (reason)` on stdout says that the remote was reached and refused. */
function refusal(context: GitContext, branch: string, { stdout, stderr }: GitOutput): GitFailure {
  const line = stdout
    .toString()
    .split('\n')
    .find((entry) => entry.startsWith('!'));
  const reason = line?.split('\t')[2];
  if (reason === undefined) return failureFromStderr(context, stderr);
  if (/remote failure|failed to report/.test(reason)) {
    return gitFailure('UNREACHABLE', 'The remote did not say whether the push arrived.');
  }
  const words = [...stderr.matchAll(/^remote: ?(.*)$/gm)].map(([, text = '']) => text.trim()).filter(Boolean);
  const message = withoutSecrets(context, [...words, reason].join(' '));
  if (reason.startsWith('[rejected]') || /already exists|incorrect old value|but expected/.test(message)) {
    return gitFailure('STALE', `The branch ${branch} moved on the remote: ${message}`);
  }
  if (message.includes('cannot lock ref')) {
    return gitFailure('UNREACHABLE', `The branch ${branch} is busy with another push: ${message}`);
  }
  return gitFailure('REJECTED', `The remote refused the push to ${branch}: ${message}`);
}
