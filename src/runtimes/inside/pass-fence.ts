/**
 * A worker that stood still for longer than its lease may come back in the middle of a phase: its successor works in the
 * very same pod, and a checkout that is prepared a second time would take the agent's work away.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SupersededError } from '../../errors.ts';
import type { Fence } from './call.ts';

/**
 * Raises the fence where `mayRaise`. Rejects with a SupersededError when a later attempt has the workspace. `folder`: has a
 * file for each attempt that has raised it, so that none takes away what another one has put there at the same moment.
 */
export async function passFence(folder: string, { attemptNo }: Fence, mayRaise: boolean): Promise<void> {
  if (mayRaise) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(join(folder, String(attemptNo)), '', { mode: 0o600 });
  }
  const highest = Math.max(0, ...(await readAttempts(folder)));
  if (attemptNo >= highest) return;
  throw new SupersededError(`Attempt ${attemptNo} has been superseded: attempt ${highest} has the workspace.`);
}

async function readAttempts(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.map(Number);
}
