import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeFolders } from '../std/remove-folders.ts';
import { type GitContext, git } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';
import { hasBranches, readRemoteTips } from './remote-tips.ts';
import { ensureCache, fetchIntoCache } from './repository-cache.ts';

/** How often the remote's branch may move under our hands. */
const MAX_TRIES = 3;

export interface Checkout {
  readonly ok: true;
  /** The commit the checkout stands on: the tip of `branch` or else of `defaultBranch`; null for an empty remote. */
  readonly baseSha: string | null;
  /** The remote's tip of `branch`; null when it does not exist there. */
  readonly branchSha: string | null;
}

export interface CheckoutRequest {
  readonly branch: string;
  readonly defaultBranch: string;
  /** Stands on this commit instead, wherever `branch` is. */
  readonly commit?: string;
  /** Absolute path of the project's bare cache repository, made when it is missing. */
  readonly cache: string;
}

/**
 * Puts a fresh checkout into `paths.work` (whatever was there is deleted) and the trusted git folder, whose HEAD names
 * `branch`, into `paths.git`. Only the needed branch is fetched, into the cache, whose objects the git folder borrows.
 * Safe to repeat after a crash and to run for several builds of a project at the same time. Submodules are not
 * initialised, LFS files stay pointers. Throws only when the file system refuses.
 */
export async function prepareCheckout(context: GitContext, request: CheckoutRequest): Promise<Checkout | GitFailure> {
  await ensureCache(request.cache);
  const base = await fetchBase(context, request);
  if (!base.ok) return base;
  const failure = (await createGitFolder(context, request)) ?? (await fillWorkTree(context, base.baseSha));
  return failure ?? base;
}

async function fetchBase(context: GitContext, request: CheckoutRequest): Promise<Checkout | GitFailure> {
  for (let attempt = 1; ; attempt += 1) {
    const base = await findBase(context, request);
    if (!base.ok || base.baseSha === null) return base;
    const ofBranch = base.branchSha === null ? request.defaultBranch : request.branch;
    const branch = request.commit ?? ofBranch;
    const fetched = await fetchIntoCache(context, { cache: request.cache, branch, sha: base.baseSha });
    if (fetched.ok) return base;
    if (fetched.kind === 'STALE' && request.commit !== undefined) {
      return gitFailure('NOT_FOUND', `The remote does not give out the commit ${request.commit}.`);
    }
    if (fetched.kind !== 'STALE' || attempt === MAX_TRIES) return fetched;
  }
}

async function findBase(context: GitContext, request: CheckoutRequest): Promise<Checkout | GitFailure> {
  if (request.commit !== undefined) return { ok: true, baseSha: request.commit, branchSha: null };
  const base = await readBase(context, request);
  if (!base.ok || base.baseSha !== null) return base;
  const branches = await hasBranches(context);
  if (!branches.ok) return branches;
  if (!branches.answer) return base;
  // Another build may have pushed the first commit of an empty repository between the two looks.
  const again = await readBase(context, request);
  if (!again.ok || again.baseSha !== null) return again;
  const { branch, defaultBranch } = request;
  return gitFailure('NOT_FOUND', `The remote has neither the branch ${branch} nor ${defaultBranch}.`);
}

async function readBase(
  context: GitContext,
  { branch, defaultBranch }: CheckoutRequest,
): Promise<Checkout | GitFailure> {
  const read = await readRemoteTips(context, [branch, defaultBranch]);
  if (!read.ok) return read;
  const branchSha = read.tips.get(branch) ?? null;
  return { ok: true, baseSha: branchSha ?? read.tips.get(defaultBranch) ?? null, branchSha };
}

async function createGitFolder(context: GitContext, { branch, cache }: CheckoutRequest): Promise<GitFailure | null> {
  const gitDir = context.workspace.paths.git;
  await removeFolders([gitDir]);
  const created = await git(context, ['init', '--quiet', '--bare', '--template=', `--initial-branch=${branch}`]);
  if (!created.ok) return created;
  await writeFile(join(gitDir, 'objects', 'info', 'alternates'), `${join(cache, 'objects')}\n`);
  return null;
}

async function fillWorkTree(context: GitContext, baseSha: string | null): Promise<GitFailure | null> {
  const { work } = context.workspace.paths;
  await removeFolders([work]);
  await mkdir(work, { recursive: true, mode: 0o700 });
  const args = baseSha === null ? ['read-tree', '--empty'] : ['read-tree', '--reset', '-u', baseSha];
  const filled = await git(context, args, { workTree: true });
  return filled.ok ? null : filled;
}
