/**
 * Builds of a project share the folder of their roots in mode `exec`: an agent may put a link to another build's root in
 * the place of its own.
 */
import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Rejects when what is in the place of the build's root is not a folder; nothing may be there. */
export async function checkRoot(builds: string, buildId: string): Promise<void> {
  const there = await find(builds, buildId);
  if (there && !there.isDirectory()) throw new Error(`The root of the build ${buildId} is not its own folder.`);
}

/** Removes what is there instead of the build's root, and nothing of what it leads to. */
export async function removeFalseRoot(builds: string, buildId: string): Promise<void> {
  const there = await find(builds, buildId);
  if (there && !there.isDirectory()) await rm(join(builds, buildId), { force: true });
}

async function find(builds: string, buildId: string) {
  // Not `..`, and not below another build's root.
  if (!/^[\w-]+$/.test(buildId)) throw new Error('A build id has letters, digits, "_" and "-" only.');
  return lstat(join(builds, buildId)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}
