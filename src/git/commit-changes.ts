import { type Changes, EMPTY_TREE, readChanges } from './changes.ts';
import { type GitContext, git } from './git.ts';
import type { GitFailure } from './git-failure.ts';
import { stageWorkTree } from './stage-work-tree.ts';

export interface Person {
  readonly name: string;
  readonly email: string;
}

export interface CommitRequest {
  /** The parent; null for the first commit of an empty repository. */
  readonly baseSha: string | null;
  readonly message: string;
  /** Added below the message as `Key: value`. Keys hold only letters, digits and dashes. */
  readonly trailers: Readonly<Record<string, string>>;
  /** Of author and committer, in whole seconds: the same tree, parent, message and date give the same sha. */
  readonly date: Date;
  readonly author: Person;
}

export type Commit =
  | { readonly ok: true; readonly changed: false }
  | ({ readonly ok: true; readonly changed: true; readonly sha: string } & Changes);

/** Commits the whole work tree into the trusted git folder. Moves no ref, runs nothing that the agent left behind. */
export async function commitChanges(context: GitContext, request: CommitRequest): Promise<Commit | GitFailure> {
  const staged = await stageWorkTree(context);
  if (!staged.ok) return staged;
  const before = await treeOf(context, request.baseSha);
  if (!before.ok) return before;
  if (before.tree === staged.tree) return { ok: true, changed: false };
  const commit = await writeCommit(context, {
    tree: staged.tree,
    parent: request.baseSha,
    message: fullMessage(request),
    author: { ...request.author, date: gitDate(request.date) },
    committer: { ...request.author, date: gitDate(request.date) },
  });
  if (!commit.ok) return commit;
  const changes = await readChanges(context, { from: request.baseSha, to: commit.sha });
  return changes.ok ? { ...changes, changed: true, sha: commit.sha } : changes;
}

/** What `commitChanges` would commit, without a commit. */
export async function readWorkTreeChanges(
  context: GitContext,
  { baseSha }: { baseSha: string | null },
): Promise<({ ok: true } & Changes) | GitFailure> {
  const staged = await stageWorkTree(context);
  return staged.ok ? readChanges(context, { from: baseSha, to: staged.tree }) : staged;
}

/** The tree of a commit; null is the empty tree. */
export async function treeOf(
  context: GitContext,
  sha: string | null,
): Promise<{ ok: true; tree: string } | GitFailure> {
  if (sha === null) return { ok: true, tree: EMPTY_TREE };
  const parsed = await git(context, ['rev-parse', '--verify', '--end-of-options', `${sha}^{tree}`]);
  return parsed.ok ? { ok: true, tree: parsed.stdout.toString().trim() } : parsed;
}

/** `date` as git writes it: `<seconds> <zone>`. */
export type Signature = Person & { readonly date: string };

export interface CommitObject {
  readonly tree: string;
  readonly parent: string | null;
  readonly message: string;
  readonly author: Signature;
  readonly committer: Signature;
}

export async function writeCommit(
  context: GitContext,
  commit: CommitObject,
): Promise<{ ok: true; sha: string } | GitFailure> {
  const { author, committer, parent } = commit;
  const args = ['commit-tree', commit.tree, ...(parent === null ? [] : ['-p', parent]), '-F', '-'];
  const written = await git(context, args, {
    stdin: commit.message,
    env: {
      GIT_AUTHOR_NAME: author.name,
      GIT_AUTHOR_EMAIL: author.email,
      GIT_AUTHOR_DATE: `@${author.date}`,
      GIT_COMMITTER_NAME: committer.name,
      GIT_COMMITTER_EMAIL: committer.email,
      GIT_COMMITTER_DATE: `@${committer.date}`,
    },
  });
  return written.ok ? { ok: true, sha: written.stdout.toString().trim() } : written;
}

function gitDate(date: Date): string {
  return `${Math.floor(date.getTime() / 1000)} +0000`;
}

function fullMessage({ message, trailers }: CommitRequest): string {
  // git refuses NUL in a message; a line end in a value would begin another trailer.
  const text = message.replaceAll('\0', '').trim();
  const lines = Object.entries(trailers).map(([key, value]) => `${key}: ${value.replaceAll(/\p{Cc}+/gu, ' ')}`);
  return `${[text, lines.join('\n')].filter(Boolean).join('\n\n')}\n`;
}
