/** Can runs be kept from the rest of this machine? */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { NAMESPACES } from './sandbox-arguments.ts';

export type SandboxMode = 'auto' | 'bubblewrap' | 'none';

export interface Bubblewrap {
  readonly kind: 'bubblewrap';
  /** Absolute path. */
  readonly program: string;
  readonly version: string;
}

export interface NoSandbox {
  readonly kind: 'none';
  /** Why, in one sentence. */
  readonly reason: string;
  readonly remedy: string;
}

/** Runs are in pods: this machine has nothing to keep them from. */
export interface PodSandbox {
  readonly kind: 'pod';
}

export type Sandbox = Bubblewrap | NoSandbox | PodSandbox;

/** Where Debian, Alpine, NixOS and people put it. Never PATH: whoever starts Slipway may have changed that. */
const PROGRAMS = ['/usr/bin/bwrap', '/usr/local/bin/bwrap', '/bin/bwrap', '/run/current-system/sw/bin/bwrap'];
const LIMIT_MS = 5_000;

const INSTALL = 'Install bubblewrap 0.8 or newer: apt-get install bubblewrap.';
const ALLOW_NAMESPACES =
  'Allow user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces, or --security-opt seccomp=unconfined of a container.';

/** Tries it out, with every namespace that a run will have. Never throws; takes a few milliseconds, 5 s at most. */
export async function findSandbox(mode: SandboxMode): Promise<Bubblewrap | NoSandbox> {
  if (mode === 'none') return none('SLIPWAY_SANDBOX is none.', 'Set SLIPWAY_SANDBOX to auto.');
  if (process.platform !== 'linux') {
    return none('bubblewrap is for Linux only.', 'Run workers on Linux, or trust the agents with this machine.');
  }
  for (const program of PROGRAMS) {
    const version = await output(program, ['--version']);
    if (version.missing) continue;
    const tried = await output(program, [...NAMESPACES, '--unshare-net', ...EVERYTHING, '/bin/sh', '-c', ':']);
    if (tried.failure !== null) return none(`bubblewrap does not work here: ${tried.failure}`, ALLOW_NAMESPACES);
    return { kind: 'bubblewrap', program, version: version.text.replace(/^bubblewrap /, '') };
  }
  return none('bubblewrap is not installed.', INSTALL);
}

const EVERYTHING = ['--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', '--'];

function none(reason: string, remedy: string): NoSandbox {
  return { kind: 'none', reason, remedy };
}

async function output(program: string, args: readonly string[]) {
  try {
    const { stdout } = await promisify(execFile)(program, [...args], {
      env: {},
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    return { missing: false, text: stdout.trim(), failure: null };
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    const failure = (stderr ?? '').trim().split('\n')[0]?.slice(0, 300) || `it ended with ${String(code)}`;
    return { missing: code === 'ENOENT', text: '', failure };
  }
}
