/** Runs a command of a project in its checkout, detached and sandboxed as agents are, and waits for its end. */
import type { Redact } from '../runtimes/redact.ts';
import type { ExitStatus, OutputLine, Workspace } from '../runtimes/runtime.ts';
import { failpoint } from '../std/failpoint.ts';
import type { NetworkAccess } from '../std/network-access.ts';
import { OutputTail } from './output-tail.ts';
import { TaskFailedError } from './task-run.ts';

/** Bytes that a command may print in all: they are spooled. */
const MAX_SPOOL_BYTES = 256 * 1024 ** 2;
const LOOK_EVERY_MS = 1_000;
const STOP_GRACE_MS = 5_000;
/** The supervisor ends what a worker should have ended long ago. */
const SUPERVISOR_GRACE_SECONDS = 60;
const START = { stdout: 0, stderr: 0 };

export interface TaskCommand {
  readonly argv: readonly [string, ...string[]];
  /** Complete but for HOME and TMPDIR. */
  readonly env: Readonly<Record<string, string>>;
  /** By default empty. */
  readonly stdin?: string;
  readonly network: NetworkAccess;
  readonly timeoutSeconds: number;
  readonly redact: Redact;
  readonly onLine?: (line: OutputLine) => void;
}

export interface CommandEnd {
  readonly exit: ExitStatus;
  /** Why it was ended before its time. */
  readonly over: TaskFailedError | null;
  readonly output: OutputTail;
  /** The runtime's words, such as connections that it refused. */
  readonly notices: readonly string[];
}

/**
 * Throws TaskFailedError for a command that cannot be started, and what `signal` aborts with: then its processes are the
 * caller's. Otherwise none of them is alive when this resolves.
 */
export async function runCommand(workspace: Workspace, command: TaskCommand, signal: AbortSignal): Promise<CommandEnd> {
  const { home, tmp, work } = workspace.paths;
  const { argv, network, redact, timeoutSeconds } = command;
  const run = await workspace
    .start({
      ...{ argv, network, redact, cwd: work, stdin: command.stdin ?? '' },
      env: { ...command.env, HOME: home, TMPDIR: tmp },
      maxSeconds: timeoutSeconds + SUPERVISOR_GRACE_SECONDS,
    })
    .catch((error: unknown) => {
      signal.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      throw new TaskFailedError('SANDBOX_FAILED', `The command could not be started: ${why}`, { retryable: true });
    });
  const stop = new AbortController();
  let over = null as TaskFailedError | null;
  const end = (error: TaskFailedError) => {
    over ??= error;
    stop.abort();
  };
  const onAbort = () => stop.abort();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const timer = setTimeout(
    () => end(new TaskFailedError('TIMEOUT', `The command did not end within ${timeoutSeconds} s.`)),
    timeoutSeconds * 1_000,
  );
  const watch = setInterval(() => {
    const tooMuch = () => end(new TaskFailedError('OUTPUT_LIMIT', 'The command printed more than a task may print.'));
    void run.outputBytes().then(
      (bytes) => bytes > MAX_SPOOL_BYTES && tooMuch(),
      () => {},
    );
  }, LOOK_EVERY_MS);
  const output = new OutputTail();
  try {
    for await (const { lines } of run.read(START, stop.signal)) {
      for (const line of lines) {
        output.add(line);
        command.onLine?.(line);
      }
    }
  } finally {
    clearTimeout(timer);
    clearInterval(watch);
    signal.removeEventListener('abort', onAbort);
  }
  signal.throwIfAborted();
  // Also of what it has left behind in the background.
  await run.stop({ graceMs: STOP_GRACE_MS });
  await failpoint('run.ended');
  const exit = (await run.exitStatus()) ?? { kind: 'lost' };
  return { exit, over, output, notices: await run.notices() };
}

/** In a few words, as a part of a sentence. */
export function describeExit(exit: ExitStatus): string {
  if (exit.kind === 'exited')
    return exit.code === 127 ? 'was not found (exit code 127)' : `ended with exit code ${exit.code}`;
  return exit.kind === 'signalled' ? `was ended by ${exit.signal}` : 'was lost with its machine';
}
