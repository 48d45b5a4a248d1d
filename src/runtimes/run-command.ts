import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Command, CommandResult } from './runtime.ts';
import { signalGroup } from './signal-group.ts';

const DEFAULT_MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const STDERR_TAIL_BYTES = 64 * 1024;
/** From SIGTERM to SIGKILL. */
const KILL_AFTER_MS = 2_000;
/** How long output may stay open after the program has ended: a child that it left behind can hold it for ever. */
const DRAIN_MS = 1_000;

type Cause = 'timedOut' | 'aborted' | 'truncated';

/** Runs a program in a process group of its own to its end; see `Workspace.exec`. */
export async function runCommand(command: Command): Promise<CommandResult> {
  if (command.signal?.aborted) return result({ exitCode: null, cause: 'aborted' });
  const [program, ...args] = command.argv;
  const { cwd, env } = command;
  const child: ChildProcess = spawn(program, args, { cwd, env, detached: true, stdio: 'pipe' });
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ending = createEnding(child);
  const output = collectOutput(child, command.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES, () =>
    ending.end('truncated'),
  );
  const timer = setTimeout(() => ending.end('timedOut'), command.timeoutMs);
  const onAbort = () => ending.end('aborted');
  command.signal?.addEventListener('abort', onAbort, { once: true });
  // A program may end without reading its input.
  child.stdin?.on('error', () => {});
  child.stdin?.end(command.stdin);
  try {
    const [exitCode] = await exited;
    await drain(child, closed);
    return result({ exitCode, cause: ending.cause(), ...output() });
  } finally {
    clearTimeout(timer);
    command.signal?.removeEventListener('abort', onAbort);
    ending.close();
  }
}

/** SIGTERM to the group, later SIGKILL; the first cause is the one that is told. */
function createEnding(child: ChildProcess) {
  let cause: Cause | null = null;
  let timer: NodeJS.Timeout | undefined;
  const signal = (name: NodeJS.Signals) => {
    if (child.pid !== undefined) signalGroup(child.pid, name);
  };
  return {
    cause: () => cause,
    end(why: Cause) {
      if (cause !== null) return;
      cause = why;
      signal('SIGTERM');
      timer = setTimeout(signal, KILL_AFTER_MS, 'SIGKILL');
    },
    close() {
      clearTimeout(timer);
      if (cause !== null) signal('SIGKILL');
    },
  };
}

function collectOutput(child: ChildProcess, maxBytes: number, onOverflow: () => void) {
  const stdout: Buffer[] = [];
  let stderr = Buffer.alloc(0);
  let total = 0;

  function admit(chunk: Buffer): Buffer {
    const admitted = chunk.subarray(0, maxBytes - total);
    total += admitted.length;
    if (admitted.length < chunk.length) onOverflow();
    return admitted;
  }

  child.stdout?.on('data', (chunk: Buffer) => stdout.push(admit(chunk)));
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = Buffer.concat([stderr, admit(chunk)]).subarray(-STDERR_TAIL_BYTES);
  });
  return () => ({ stdout: Buffer.concat(stdout), stderr: stderr.toString('utf8') });
}

async function drain(child: ChildProcess, closed: Promise<void>): Promise<void> {
  const timer = setTimeout(() => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, DRAIN_MS);
  await closed;
  clearTimeout(timer);
}

function result(end: {
  exitCode: number | null;
  cause: Cause | null;
  stdout?: Buffer;
  stderr?: string;
}): CommandResult {
  return {
    exitCode: end.exitCode,
    stdout: end.stdout ?? Buffer.alloc(0),
    stderr: end.stderr ?? '',
    timedOut: end.cause === 'timedOut',
    aborted: end.cause === 'aborted',
    truncated: end.cause === 'truncated',
  };
}
