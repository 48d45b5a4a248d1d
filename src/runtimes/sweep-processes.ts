import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const MAX_SCANS = 100;
const MIN_PAUSE_MS = 5;
const MAX_PAUSE_MS = 100;
const MAX_PS_BYTES = 64 * 1024 * 1024;

/**
 * Kills every process with the entry `mark` (`NAME=value`) in its environment except this one, and resolves with how
 * many it killed once none is alive. Zombies are dead. Throws when one cannot be killed, after about 10 s.
 */
export async function sweepProcesses(mark: string): Promise<number> {
  const killed = new Set<number>();
  let alive: number[] = [];
  let cleanScans = 0;
  for (let scan = 0, pauseMs = MIN_PAUSE_MS; scan < MAX_SCANS; scan++, pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    alive = await findMarked(mark);
    cleanScans = alive.length === 0 ? cleanScans + 1 : 0;
    // A process in the middle of an exec has no environment for a moment: one clean scan is not enough.
    if (cleanScans === 2) return killed.size;
    for (const pid of alive) if (kill(pid)) killed.add(pid);
    await delay(pauseMs);
  }
  throw new Error(`These processes with ${mark} cannot be killed: ${alive.join(', ')}.`);
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already, or not ours: the next scan tells.
    return false;
  }
}

/** The processes that have the mark in their environment, but not this one. */
export async function findMarked(mark: string): Promise<number[]> {
  const pids = await (process.platform === 'linux' ? markedInProc(mark) : markedInPs(mark));
  return pids.filter((pid) => pid !== process.pid);
}

async function markedInProc(mark: string): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const marked = await Promise.all(names.map((name) => hasEntry(`/proc/${name}/environ`, mark)));
  return names.filter((_, index) => marked[index]).map(Number);
}

/** False for zombies, whose environment is empty, and for processes of other users, which are not ours to kill. */
async function hasEntry(environ: string, mark: string): Promise<boolean> {
  try {
    const entries = await readFile(environ);
    return entries.indexOf(`${mark}\0`) === 0 || entries.includes(`\0${mark}\0`);
  } catch {
    return false;
  }
}

async function markedInPs(mark: string): Promise<number[]> {
  const args = ['-axwwE', '-o', 'pid=,stat=,command='];
  const { stdout } = await promisify(execFile)('ps', args, { maxBuffer: MAX_PS_BYTES });
  return stdout
    .split('\n')
    .filter((line) => `${line} `.includes(` ${mark} `) && !/^\s*\d+\s+Z/.test(line))
    .map((line) => Number.parseInt(line, 10));
}
