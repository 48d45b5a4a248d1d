/** Runs a program for one task: the payload on its stdin, its stdout is the result, its exit code says how it went. */
import { spawn } from 'node:child_process';

/** What is kept of stdout: as JSON, a result is at most 64 KiB. */
const MAX_STDOUT = 60 * 1024;
const MAX_STDERR = 2 * 1024;
const KILL_AFTER_MS = 10_000;

export interface TaskProgram {
  /** For the shell. */
  readonly command: string;
  readonly payload: unknown;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Ends the program and all that it has started. */
  readonly signal: AbortSignal;
}

export interface ProgramEnd {
  /** Null: it was killed. */
  readonly exitCode: number | null;
  /** What its stdout says: as JSON, or as text in `output`. */
  readonly result: unknown;
  /** The end of what it says on stderr. */
  readonly problem: string;
}

export function runTaskProgram({ command, payload, environment, signal }: TaskProgram): Promise<ProgramEnd> {
  const { promise, resolve, reject } = Promise.withResolvers<ProgramEnd>();
  // A group of its own, so that all of it can be ended.
  const child = spawn(command, { shell: true, detached: true, env: { ...environment }, stdio: 'pipe' });
  let stdout = '';
  let isCut = false;
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    isCut ||= stdout.length + text.length > MAX_STDOUT;
    stdout = (stdout + text).slice(0, MAX_STDOUT);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-MAX_STDERR);
  });
  // A program that does not read its payload.
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(payload));
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    signalAll(child.pid, 'SIGTERM');
    timer = setTimeout(() => signalAll(child.pid, 'SIGKILL'), KILL_AFTER_MS);
  };
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  child.once('error', reject);
  child.once('close', (exitCode) => {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    resolve({ exitCode, result: resultOf(stdout, isCut), problem: stderr.trim() });
  });
  return promise;
}

function resultOf(stdout: string, isCut: boolean): unknown {
  if (isCut) return { output: cutToFit(stdout), truncated: true };
  if (stdout.trim() === '') return null;
  try {
    return JSON.parse(stdout) as unknown;
  } catch {
    return { output: cutToFit(stdout) };
  }
}

/** As JSON a character may be six bytes long. */
function cutToFit(text: string): string {
  let end = text.length;
  while (Buffer.byteLength(JSON.stringify(text.slice(0, end))) > MAX_STDOUT) end = Math.floor(end * 0.8);
  return text.slice(0, end).toWellFormed().replaceAll('\0', '\uFFFD');
}

function signalAll(pid: number | undefined, name: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, name);
  } catch {
    // It has ended meanwhile.
  }
}
