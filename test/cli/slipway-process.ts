/** The program `slipway` as a process of its own, in a fresh folder and with nothing of our environment. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcessStart } from '../../src/runtimes/process-start.ts';
import { waitFor } from '../support/wait-for.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/slipway.js');

export interface SlipwayProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** So far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

export function startSlipway(args: readonly string[], environment: Record<string, string>): SlipwayProcess {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
    });
  }
  return {
    child,
    pid: child.pid ?? 0,
    get stdout() {
      return printed.stdout;
    },
    get stderr() {
      return printed.stderr;
    },
    ended: new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal))),
  };
}

/** Waits for the first line of `up --json`. */
export async function upAnswer(up: SlipwayProcess): Promise<{ url: string; token: string | null }> {
  const line = await Promise.race([
    waitFor(() => (up.stdout.includes('\n') ? up.stdout : null), { deadlineMs: 40_000, what: 'the start' }),
    up.ended.then((code) => {
      throw new Error(`it ended with ${code}: ${up.stderr}`);
    }),
  ]);
  return JSON.parse(line) as { url: string; token: string | null };
}

/** The pid of the embedded Postgres of a data folder. */
export async function postgresPid(dataFolder: string): Promise<number> {
  const home = await realpath(join(dataFolder, 'postgres'));
  return Number((await readFile(join(home, 'data/postmaster.pid'), 'utf8')).split('\n')[0]);
}

export async function isAlive(pid: number): Promise<boolean> {
  return (await readProcessStart(pid)) !== null;
}
