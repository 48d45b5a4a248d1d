import { readFile } from 'node:fs/promises';
import { signalGroup } from './signal-group.ts';
import { findMarked } from './sweep-processes.ts';

/**
 * Signals the program in the sandbox of the build with this mark, and those of its group; false when there is none. The
 * sandbox's first process leads that group and is deaf to signals, so that the program decides when it ends.
 */
export async function signalSandbox(mark: string, signal: NodeJS.Signals): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  const marked = await findMarked(mark);
  const first = await Promise.all(marked.map(isFirstOfNamespace));
  const leaders = marked.filter((_, index) => first[index]);
  for (const leader of leaders) signalGroup(leader, signal);
  return leaders.length > 0;
}

/** Its pid as its own namespace sees it is 1. */
async function isFirstOfNamespace(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return /^NSpid:\t\d+\t(?:\d+\t)*1$/m.test(status);
}
