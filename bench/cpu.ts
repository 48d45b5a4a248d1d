/** What processes have computed, by /proc: a busy machine changes times, hardly this. */
import { readdir, readFile } from 'node:fs/promises';

/** Of one tick of `cutime`. */
const TICK_US = 10_000;

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Of its children that are gone, µs. */
  readonly goneUs: number;
}

/** Microseconds that a process and all below it have computed so far; null where the system does not tell. */
export async function readCpuUs(root: number): Promise<number | null> {
  const processes = await listProcesses();
  if (!processes.some(({ pid }) => pid === root)) return null;
  const below = new Set([root]);
  for (let grown = -1; grown !== below.size; ) {
    grown = below.size;
    for (const { pid, parent } of processes) if (below.has(parent)) below.add(pid);
  }
  const inside = processes.filter(({ pid }) => below.has(pid));
  const living = await Promise.all(inside.map(({ pid }) => readLivingUs(pid)));
  return [...living, ...inside.map(({ goneUs }) => goneUs)].reduce((sum, us) => sum + us, 0);
}

async function listProcesses(): Promise<Process[]> {
  const names = await readdir('/proc').catch(() => []);
  const found = names
    .filter((name) => /^\d+$/.test(name))
    .map(async (name) => {
      const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => null);
      // The name of the program, in parentheses, may contain anything.
      const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (!fields) return [];
      return [
        { pid: Number(name), parent: Number(fields[1]), goneUs: (Number(fields[13]) + Number(fields[14])) * TICK_US },
      ];
    });
  return (await Promise.all(found)).flat();
}

async function readLivingUs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const spent = threads.map(async (thread) => {
    const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0');
    return Number(text.split(' ')[0]) / 1_000;
  });
  return (await Promise.all(spent)).reduce((sum, us) => sum + us, 0);
}
