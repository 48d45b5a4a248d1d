import { execFile } from 'node:child_process';
import { lstat } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const TIMEOUT_MS = 10 * 60_000;

/**
 * Deletes folders with everything in them, in this order, also when their owner made parts of them read-only or nested
 * them deeper than a path can be long. `rm` does both, and far faster than Node. Missing folders are fine; throws when
 * one is still there afterwards.
 */
export async function removeFolders(paths: readonly string[]): Promise<void> {
  if (await tryRun('rm', ['-rf', '--', ...paths])) return;
  const left = [];
  for (const path of paths) if (await exists(path)) left.push(path);
  if (left.length === 0) return;
  await tryRun('chmod', ['-R', 'u+rwx', '--', ...left]);
  await run('rm', ['-rf', '--', ...left], { timeout: TIMEOUT_MS });
}

async function tryRun(program: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(program, args, { timeout: TIMEOUT_MS });
    return true;
  } catch {
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
