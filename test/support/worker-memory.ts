/** What builds cost a worker that runs in a process of its own. */
import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';

/** For clear_refs of procfs: VmHWM begins anew. */
const RESET_PEAK = '5';

/** The most memory that the process has had while the work was done, in MB. */
export async function peakMemoryDuring({ pid }: ChildProcess, work: () => Promise<void>): Promise<number> {
  await writeFile(`/proc/${pid}/clear_refs`, RESET_PEAK);
  await work();
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / 1e6;
}
