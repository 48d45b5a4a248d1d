/** The `.git` that the agent sees. It is a gift: nothing in it is ever run, believed or published. */
import { constants } from 'node:fs';
import { appendFile, copyFile, lstat, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeRef } from './bare-repository.ts';
import { copyIndex } from './copy-index.ts';
import { type GitContext, git } from './git.ts';
import type { GitFailure } from './git-failure.ts';

const IDENTITY = '[user]\n\tname = Agent\n\temail = agent@slipway.invalid\n';
/** Bytes; HEAD and a ref are far smaller, and so is a packed-refs that only the agent filled. */
const MAX_TEXT_BYTES = 1024 * 1024;

/**
 * Gives the agent a repository of its own in the fresh checkout, at `baseSha` on `branch`, so that `git log`, `diff`,
 * `status` and `commit` work for it. It has no remote and no credentials and borrows the cache's objects.
 */
export async function createAgentRepository(
  context: GitContext,
  { branch, baseSha }: { branch: string; baseSha: string | null },
): Promise<{ ok: true } | GitFailure> {
  const { paths } = context.workspace;
  const gitDir = join(paths.work, '.git');
  await rm(gitDir, { recursive: true, force: true });
  const created = await git(context, ['init', '--quiet', '--template=', `--initial-branch=${branch}`], { gitDir });
  if (!created.ok) return created;
  const alternates = join('objects', 'info', 'alternates');
  await copyFile(join(paths.git, alternates), join(gitDir, alternates));
  await copyIndex(join(paths.git, 'index'), join(gitDir, 'index'));
  await appendFile(join(gitDir, 'config'), IDENTITY);
  if (baseSha !== null) await writeRef(gitDir, `refs/heads/${branch}`, baseSha);
  return { ok: true };
}

/**
 * True unless the agent's repository still stands on `baseSha` on its branch: it committed, switched, detached, or
 * broke or deleted its `.git`. Only reads text files, bounded; never throws because of what the agent left.
 */
export async function agentMovedHead(context: GitContext, baseSha: string | null): Promise<boolean> {
  const { paths } = context.workspace;
  const gitDir = join(paths.work, '.git');
  const found = await lstat(gitDir).catch(() => null);
  if (found === null || !found.isDirectory()) return true;
  const head = await readFile(join(paths.git, 'HEAD'), 'utf8');
  if ((await readUntrusted(join(gitDir, 'HEAD'))) !== head) return true;
  const ref = head.replace(/^ref: /, '').trim();
  const loose = (await readUntrusted(join(gitDir, ref)))?.trim();
  return (loose ?? (await packedRef(gitDir, ref))) !== baseSha;
}

async function packedRef(gitDir: string, ref: string): Promise<string | null> {
  const packed = (await readUntrusted(join(gitDir, 'packed-refs'))) ?? '';
  const line = packed.split('\n').find((entry) => entry.endsWith(` ${ref}`));
  return line?.slice(0, line.indexOf(' ')) ?? null;
}

/** A small regular file; null for anything else. A link is not followed and a FIFO does not block. */
async function readUntrusted(path: string): Promise<string | null> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(() => null);
  if (file === null) return null;
  try {
    const { size } = await file.stat().then((found) => (found.isFile() ? found : { size: Number.POSITIVE_INFINITY }));
    if (size > MAX_TEXT_BYTES) return null;
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size), position: 0 });
    return buffer.toString('utf8', 0, bytesRead);
  } catch {
    return null;
  } finally {
    await file.close();
  }
}
