import { tmpdir } from 'node:os';
import { execa } from 'execa';
import type { AgentAvailability } from './agent.ts';
import { firstLine } from './cut-text.ts';

const PROBE_TIMEOUT_MS = 10_000;

/** Asks a program for its version; `remedy` says how to install it. Never throws. */
export async function probeProgram(options: {
  /** An absolute path, or a name that is found in PATH of `environment`. */
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly remedy: string;
}): Promise<AgentAvailability> {
  const { program, environment, remedy } = options;
  const { stdout, stderr, failed, timedOut, code } = await execa(program, ['--version'], {
    env: { ...environment, HOME: tmpdir() },
    extendEnv: false,
    stdin: 'ignore',
    timeout: PROBE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024,
    reject: false,
  });
  if (code === 'ENOENT') return { available: false, reason: `${program} was not found.`, remedy };
  const version = /\d+\.\d+\.\d+\S*/.exec(stdout)?.[0];
  if (failed || version === undefined) {
    const words = timedOut ? 'it did not answer' : firstLine(stderr || stdout, 200);
    return { available: false, reason: `${program} --version failed: ${words}`, remedy };
  }
  return { available: true, version };
}
