import { decodePath, splitNul } from './changes.ts';
import { type CommitObject, type Signature, treeOf, writeCommit } from './commit-changes.ts';
import { type GitContext, git } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';
import { remoteTip } from './push-commit.ts';
import { fetchCommit } from './remote-tips.ts';

const MAX_LISTED_CONFLICTS = 100;

export interface RebasedCommit {
  readonly ok: true;
  readonly sha: string;
  /** Its parent: what the branch must still stand on when it is pushed. */
  readonly baseSha: string;
}

export interface Conflict extends GitFailure {
  readonly kind: 'CONFLICT';
  /** The first 100; empty when git is too old to try. */
  readonly paths: readonly string[];
}

/**
 * Puts one commit on top of where the remote's branch `onto` stands now, without a work tree: same author, dates and
 * message, its own changes only. STALE when the branch is gone. Needs git 2.38; an older git answers CONFLICT.
 */
export async function rebaseCommit(
  context: GitContext,
  { sha, onto }: { sha: string; onto: string },
): Promise<RebasedCommit | Conflict | GitFailure> {
  const tip = await remoteTip(context, onto);
  if (!tip.ok) return tip;
  if (tip.sha === null) return gitFailure('STALE', `The branch ${onto} does not exist on the remote any more.`);
  const fetched = await fetchCommit(context, { gitDir: context.workspace.paths.git, sha: tip.sha });
  if (!fetched.ok) return fetched;
  const commit = await readCommit(context, sha);
  if (!commit.ok) return commit;
  if (commit.parent === tip.sha) return { ok: true, sha, baseSha: tip.sha };
  const merged = await mergeChange(context, { commit, tip: tip.sha });
  if (!merged.ok) return merged;
  const { message, author, committer } = commit;
  const rebased = await writeCommit(context, { tree: merged.tree, parent: tip.sha, message, author, committer });
  return rebased.ok ? { ...rebased, baseSha: tip.sha } : rebased;
}

/**
 * Merges with the commit's parent as the base, whatever the history is: where the branch was rewritten, the real merge
 * base would bring its dropped commits back. `--merge-base` needs git 2.40, so base and sides are commits of our own.
 */
async function mergeChange(
  context: GitContext,
  { commit, tip }: { commit: CommitObject; tip: string },
): Promise<{ ok: true; tree: string } | Conflict | GitFailure> {
  const baseTree = await treeOf(context, commit.parent);
  if (!baseTree.ok) return baseTree;
  const tipTree = await treeOf(context, tip);
  if (!tipTree.ok) return tipTree;
  const base = await writeCommit(context, { ...commit, tree: baseTree.tree, parent: null });
  if (!base.ok) return base;
  const theirs = await writeCommit(context, { ...commit, tree: tipTree.tree, parent: base.sha });
  if (!theirs.ok) return theirs;
  const ours = await writeCommit(context, { ...commit, parent: base.sha });
  if (!ours.ok) return ours;
  const args = ['merge-tree', '--write-tree', '-z', '--name-only', '--no-messages', theirs.sha, ours.sha];
  const merged = await git(context, args, { accept: [1, 129] });
  if (!merged.ok) return merged;
  if (merged.exitCode === 129) return conflict('Rebasing needs git 2.38 or newer.', []);
  const [tree = '', ...paths] = splitNul(merged.stdout).map(decodePath);
  if (merged.exitCode === 0) return { ok: true, tree };
  return conflict(`The changes conflict with the branch in ${paths.slice(0, 10).join(', ')}.`, paths);
}

function conflict(message: string, paths: readonly string[]): Conflict {
  return { ...gitFailure('CONFLICT', message), kind: 'CONFLICT', paths: paths.slice(0, MAX_LISTED_CONFLICTS) };
}

async function readCommit(context: GitContext, sha: string): Promise<({ ok: true } & CommitObject) | GitFailure> {
  const read = await git(context, ['cat-file', 'commit', sha]);
  if (!read.ok) return read;
  const text = read.stdout.toString();
  const end = text.indexOf('\n\n');
  const header = (name: string) => new RegExp(`^${name} (.*)$`, 'm').exec(text.slice(0, end))?.[1] ?? null;
  const author = parseSignature(header('author'));
  const committer = parseSignature(header('committer'));
  const tree = header('tree');
  if (author === null || committer === null || tree === null) {
    return gitFailure('OTHER', `The commit ${sha} cannot be read.`);
  }
  return { ok: true, tree, parent: header('parent'), author, committer, message: text.slice(end + 2) };
}

function parseSignature(line: string | null): Signature | null {
  const [, name, email, date] = /^(.*) <(.*)> (\d+ [+-]\d{4})$/.exec(line ?? '') ?? [];
  if (name === undefined || email === undefined || date === undefined) return null;
  return { name, email, date };
}
