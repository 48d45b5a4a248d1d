/** Bare repositories made whole or not at all, and single refs read and written without git's lock files. */
import { randomUUID } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Creates a bare repository at `path`, or leaves the one that is there. Safe to call from several processes at once.
 * The layout is git's documented one (gitrepository-layout, format 0), so that neither a git command nor its
 * environment takes part. Throws when the file system refuses, or holds something else at `path`.
 */
export async function createBareRepository(
  path: string,
  { branch, settings }: { branch: string; settings: string },
): Promise<void> {
  if (await isRepository(path)) return;
  const draft = `${path}.${randomUUID()}`;
  try {
    for (const folder of ['objects/info', 'objects/pack', 'refs/heads']) {
      await mkdir(join(draft, folder), { recursive: true });
    }
    await writeFile(join(draft, 'config'), `[core]\n\trepositoryformatversion = 0\n\tbare = true\n${settings}`);
    await writeFile(join(draft, 'HEAD'), `ref: refs/heads/${branch}\n`);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!(await isRepository(path))) throw error;
  }
}

/** The commit that a loose ref names; null when there is none. */
export async function readRef(gitDir: string, ref: string): Promise<string | null> {
  const text = await readFile(join(gitDir, ref), 'latin1').catch(() => '');
  return /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.exec(text.trim())?.[0] ?? null;
}

/**
 * Points a loose ref at a commit that is there. A rename instead of git's `<ref>.lock`, which would stay behind when
 * the process is killed and refuse every later write; of several writers the last one wins.
 */
export async function writeRef(gitDir: string, ref: string, sha: string): Promise<void> {
  const path = join(gitDir, ref);
  const draft = join(gitDir, `ref.${randomUUID()}`);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(draft, `${sha}\n`);
  await rename(draft, path);
}

async function isRepository(path: string): Promise<boolean> {
  return access(join(path, 'HEAD')).then(
    () => true,
    () => false,
  );
}
