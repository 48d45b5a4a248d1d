import { type GitContext, git } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';
import { isInWorkspace } from './push-commit.ts';
import { fetchCommit, readRemoteTips } from './remote-tips.ts';

/** The objects of one commit that its parents lack, as a thin pack. FILE_LIMIT when they are more than `maxBytes`. */
export async function packCommit(
  context: GitContext,
  { sha, maxBytes }: { sha: string; maxBytes: number },
): Promise<{ ok: true; pack: Buffer } | GitFailure> {
  const args = ['pack-objects', '--quiet', '--revs', '--thin', '--stdout', '--delta-base-offset'];
  // A commit without parents has nothing behind the second sign.
  const packed = await git(context, args, { stdin: `${sha}\n--not\n${sha}^@\n`, maxOutputBytes: maxBytes });
  return packed.ok ? { ok: true, pack: packed.stdout } : packed;
}

/**
 * Puts a commit from its pack into the workspace's git folder, on top of what the remote has of these branches. NOT_FOUND
 * when the remote no longer has what the commit stands on. Works in an empty folder too, and is safe to repeat.
 */
export async function unpackCommit(
  context: GitContext,
  { sha, pack, branches }: { sha: string; pack: Buffer; branches: readonly string[] },
): Promise<{ ok: true } | GitFailure> {
  const created = await git(context, ['init', '--quiet', '--bare', '--template=']);
  if (!created.ok) return created;
  const read = await readRemoteTips(context, branches);
  if (!read.ok) return read;
  for (const tip of new Set(read.tips.values())) {
    const fetched = await fetchCommit(context, { gitDir: context.workspace.paths.git, sha: tip });
    if (!fetched.ok) return fetched;
  }
  const unpacked = await git(context, ['index-pack', '--stdin', '--fix-thin', '--strict'], { stdin: pack });
  if (!unpacked.ok && unpacked.kind !== 'OTHER') return unpacked;
  if (unpacked.ok && (await isInWorkspace(context, { sha }))) return { ok: true };
  return gitFailure('NOT_FOUND', `The remote no longer has what the commit ${sha} stands on.`);
}
