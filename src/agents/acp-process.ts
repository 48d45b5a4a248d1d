/** The process of an ACP agent: lines in, lines out, and what its end was. */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { createLineSplitter, type SplitLine } from '../std/line-splitter.ts';

/** Left of what the runtime allows for a line, as each is printed in a frame of ours. */
const MAX_LINE_BYTES = 16 * 1024 * 1024 - 256;
/** Bytes of ours that the agent may leave unread: it asks, and does not listen. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
/** An agent that has ended may have left a child behind that holds its output open. */
const DRAIN_MS = 250;
const KILL_AFTER_MS = 500;
/** For what the agent leaves in its process group; the dead count until their new parent has noticed. */
const GROUP_MS = 500;
const GROUP_LOOK_MS = 10;

export interface AcpCommand {
  readonly command: readonly [string, ...string[]];
  /** Absent: that of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stderr: 'inherit' | 'pipe';
}

export interface AcpProcess {
  /** Null: it is inherited. */
  readonly stderr: Readable | null;
  /** False when the agent has left too much of it unread. */
  write(line: string): boolean;
  /** Ends its input, `graceMs` later the agent; resolves when it is gone with its process group. Safe to repeat. */
  close(graceMs: number): Promise<void>;
  /** Ends it at once, with what it has started in its process group. */
  kill(): Promise<void>;
}

export interface AcpProcessEvents {
  readonly onLine: (line: SplitLine) => void;
  /** Once, and nothing comes after it. */
  readonly onEnd: (why: 'not_started' | 'ended', message: string) => void;
}

export function startAcpProcess(options: AcpCommand, { onLine, onEnd }: AcpProcessEvents): AcpProcess {
  const [program, ...args] = options.command;
  const { env, cwd } = options;
  const child = spawn(program, args, {
    ...(env ? { env } : {}),
    ...(cwd ? { cwd } : {}),
    stdio: ['pipe', 'pipe', options.stderr],
    // A signal to our group is for us: the agent is asked to cancel before it is ended.
    detached: true,
  });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('A child that was started with pipes has none.');
  let hasEnded = false;
  function end(why: 'not_started' | 'ended', message: string): void {
    if (!hasEnded) onEnd(why, message);
    hasEnded = true;
  }
  const splitter = createLineSplitter(MAX_LINE_BYTES);
  stdout.on('data', (chunk: Buffer) => {
    for (const line of splitter.push(chunk)) if (!hasEnded) onLine(line);
  });
  const drained = new Promise<void>((done) => stdout.on('close', done));
  const gone = new Promise<boolean>((done) => {
    child.on('error', (error) => {
      if (child.pid !== undefined) return;
      end('not_started', `${program} could not be started: ${error.message}`);
      done(true);
    });
    child.on('exit', async (code, signal) => {
      done(true);
      await Promise.race([drained, delay(DRAIN_MS)]);
      end('ended', `The agent ended (${signal === null ? `exit code ${code}` : `signal ${signal}`}).`);
    });
  });
  // The agent's end says more than a broken pipe.
  stdin.on('error', () => {});
  void drained.then(async () => {
    await Promise.race([gone, delay(DRAIN_MS)]);
    await delay(0);
    end('ended', 'The agent closed its output.');
  });

  const isGone = (withinMs: number) => Promise.race([gone, delay(withinMs, false)]);
  /** What the agent had started may still be saving its session. */
  async function endGroup(): Promise<void> {
    const deadline = performance.now() + GROUP_MS;
    while (hasGroup(child.pid) && performance.now() < deadline) await delay(GROUP_LOOK_MS);
    signalGroup(child.pid, 'SIGKILL');
  }

  return {
    stderr: child.stderr,
    write(line) {
      stdin.write(`${line}\n`);
      return stdin.writableLength <= MAX_UNREAD_BYTES;
    },
    async close(graceMs) {
      stdin.end();
      if (await isGone(graceMs)) return endGroup();
      signalGroup(child.pid, 'SIGTERM');
      if (await isGone(KILL_AFTER_MS)) return endGroup();
      signalGroup(child.pid, 'SIGKILL');
      await isGone(KILL_AFTER_MS);
    },
    async kill() {
      signalGroup(child.pid, 'SIGKILL');
      await isGone(KILL_AFTER_MS);
    },
  };
}

function signalGroup(pid: number | undefined, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // Nobody is left in it.
  }
}

function hasGroup(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(-pid, 0);
  } catch {
    return false;
  }
}
