/** A project's bare repository on this machine, whose objects its builds borrow. Objects are only ever added. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createBareRepository, readRef, writeRef } from './bare-repository.ts';
import { type GitContext, git } from './git.ts';
import type { GitFailure } from './git-failure.ts';
import { fetchCommit } from './remote-tips.ts';

/** From here on the packs are rolled up; one fetch makes one. */
const MAX_PACKS = 50;
/** An unfinished download that is older belongs to a process that was killed. */
const ABANDONED_AFTER_MS = 24 * 60 * 60 * 1000;

export async function ensureCache(cache: string): Promise<void> {
  await mkdir(dirname(cache), { recursive: true });
  await createBareRepository(cache, { branch: 'main', settings: '' });
}

/**
 * Makes sure that the commit `sha`, the tip of `branch`, is in the cache with its history. Any number of builds may do
 * this at the same time; no lock is taken, so none can be left behind.
 */
export async function fetchIntoCache(
  context: GitContext,
  { cache, branch, sha }: { cache: string; branch: string; sha: string },
): Promise<{ ok: true } | GitFailure> {
  const ref = cacheRef(branch);
  if ((await readRef(cache, ref)) === sha) {
    const present = await git(context, ['cat-file', '-e', `${sha}^{commit}`], { gitDir: cache });
    if (present.ok) return { ok: true };
  }
  const fetched = await fetchCommit(context, { gitDir: cache, sha });
  if (!fetched.ok) return fetched;
  await writeRef(cache, ref, sha);
  await trimCache(context, cache);
  return { ok: true };
}

/**
 * The ref tells the next fetch what is here already. A hash and not the name: `a` and `a/b` cannot both be files, and
 * 256 are enough to remember however many branches there are.
 */
function cacheRef(branch: string): string {
  return `refs/slipway/${createHash('sha256').update(branch).digest('hex').slice(0, 2)}`;
}

async function trimCache(context: GitContext, cache: string): Promise<void> {
  const folder = join(cache, 'objects', 'pack');
  const names = await readdir(folder);
  for (const name of names.filter((entry) => entry.startsWith('tmp_'))) {
    const found = await stat(join(folder, name)).catch(() => null);
    if (found !== null && Date.now() - found.mtimeMs > ABANDONED_AFTER_MS)
      await rm(join(folder, name), { force: true });
  }
  if (names.filter((name) => name.endsWith('.pack')).length < MAX_PACKS) return;
  // Keeps unreachable objects too: a running build may borrow them. If it fails, the next fetch tries again.
  await git(context, ['repack', '--geometric=2', '-d', '--quiet'], { gitDir: cache });
}
