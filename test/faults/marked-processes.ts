/** The processes of this machine that carry a build's mark. Linux only: elsewhere there are none to be seen. */
import { readdir, readFile } from 'node:fs/promises';
import { BUILD_MARK } from '../../src/runtimes/build-mark.ts';
import { readProcessStart } from '../../src/runtimes/process-start.ts';

export interface MarkedProcess {
  readonly pid: number;
  /** UUID. */
  readonly buildId: string;
}

const MARK = new RegExp(`(?:^|\\0)${BUILD_MARK}=([0-9a-f-]{36})\\0`);

export async function findMarkedProcesses(): Promise<readonly MarkedProcess[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: MarkedProcess[] = [];
  for (const pid of pids) {
    // One that is gone meanwhile, or is not ours to look at, is not a process of a build here.
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    const buildId = MARK.exec(environment)?.[1];
    if (buildId && (await readProcessStart(pid)) !== null) found.push({ pid, buildId });
  }
  return found;
}
