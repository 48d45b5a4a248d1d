import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/**
 * When the process started, in the system's own notation: together with the pid it names one process for good, as a
 * pid alone is reused. Null when there is no such process or only its zombie.
 */
export async function readProcessStart(pid: number): Promise<string | null> {
  return process.platform === 'linux' ? startFromProc(pid) : startFromPs(pid);
}

async function startFromProc(pid: number): Promise<string | null> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // proc_pid_stat(5): the name, in parentheses, may hold anything; the state is field 3, the start time field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return isDead(fields[0]) ? null : (fields[19] ?? null);
}

async function startFromPs(pid: number): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'stat=,lstart=', '-p', String(pid)]);
    const [state, ...start] = stdout.trim().split(/\s+/);
    return isDead(state) ? null : start.join(' ');
  } catch {
    return null;
  }
}

function isDead(state: string | undefined): boolean {
  return state === undefined || state.startsWith('Z') || state.startsWith('X');
}
