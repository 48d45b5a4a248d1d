/** What processes have computed, by /proc: a busy machine changes times, hardly this. */
import { readdirSync, readFileSync } from 'node:fs';

/** Of one tick of `cutime`. */
const TICK_US = 10_000;

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Of its children that are gone. */
  readonly goneUs: number;
}

/**
 * Microseconds that each of these processes and all below it have computed so far; null where the system does not tell.
 * Without waiting, because a look through the pool of threads costs what it is to measure.
 */
export function readCpuUs(roots: readonly number[]): (number | null)[] {
  const processes = listProcesses();
  return roots.map((root) => {
    const below = new Set(processes.some(({ pid }) => pid === root) ? [root] : []);
    for (let before = 0; before !== below.size; ) {
      before = below.size;
      for (const { pid, parent } of processes) if (below.has(parent)) below.add(pid);
    }
    if (below.size === 0) return null;
    const inside = processes.filter(({ pid }) => below.has(pid));
    return inside.reduce((sum, { pid, goneUs }) => sum + goneUs + readLivingUs(pid), 0);
  });
}

function listProcesses(): Process[] {
  return list('/proc').flatMap((name) => {
    const stat = /^\d+$/.test(name) ? read(`/proc/${name}/stat`) : '';
    // The name of the program, in parentheses, may contain anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields.length < 15) return [];
    const goneUs = (Number(fields[13]) + Number(fields[14])) * TICK_US;
    return [{ pid: Number(name), parent: Number(fields[1]), goneUs }];
  });
}

function readLivingUs(pid: number): number {
  const spent = list(`/proc/${pid}/task`).map((thread) => read(`/proc/${pid}/task/${thread}/schedstat`));
  return spent.reduce((sum, text) => sum + Number(text.split(' ')[0]) / 1_000, 0);
}

/** Processes come and go meanwhile. */
function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
