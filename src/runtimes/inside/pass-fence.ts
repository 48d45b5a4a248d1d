/**
 * A worker that stood still for longer than its lease may come back in the middle of a phase: its successor works in the
 * very same pod, and a checkout that is prepared a second time would take the agent's work away.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { SupersededError } from '../../errors.ts';
import type { Fence } from './call.ts';

/** Raises the fence where `mayRaise`. Rejects with a SupersededError when a later attempt has the workspace. `path`: of the file that keeps it. */
export async function passFence(path: string, { attemptNo }: Fence, mayRaise: boolean): Promise<void> {
  const highest = Number.parseInt(await readFile(path, 'utf8').catch(() => '0'), 10);
  if (attemptNo < highest) {
    throw new SupersededError(`Attempt ${attemptNo} has been superseded: attempt ${highest} has the workspace.`);
  }
  if (attemptNo === highest || !mayRaise) return;
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${attemptNo}\n`, { mode: 0o600 });
  await rename(draft, path);
}
