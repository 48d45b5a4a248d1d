/** One build in a sandboxed runtime, and what this machine sees of its processes. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import type { DetachedCommand, Run, Runtime, Workspace } from '../../src/runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';
import { sandboxOf } from './sandbox.ts';

/** Seconds that programs of these tests sleep, different from those of other tests. */
export const LONG = `3${process.pid}`;

export interface SandboxBench extends AsyncDisposable {
  /** The data folder: hidden from runs. */
  readonly data: string;
  readonly build: string;
  readonly runtime: Runtime;
  readonly workspace: Workspace;
  start(script: string, more?: Partial<DetachedCommand>): Promise<Run>;
  /** All that the script printed. */
  printed(script: string, more?: Partial<DetachedCommand>): Promise<string>;
  /** Command lines of bubblewrap, the proxy, and programs that took the mark off. */
  alive(): Promise<string[]>;
}

export async function openSandboxBench(): Promise<SandboxBench> {
  const data = await mkdtemp(join(tmpdir(), 'slipway-data-'));
  const build = randomUUID();
  const runtime = openLocalRuntime({ folder: join(data, 'builds'), sandbox: sandboxOf(data) });
  const workspace = await runtime.open(build);
  const start = (script: string, more?: Partial<DetachedCommand>) => startIn(workspace, script, more);
  return {
    data,
    build,
    runtime,
    workspace,
    start,
    printed: async (script, more) => readRun(await start(script, more)),
    async alive() {
      const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
      const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
      const isOurs = (line: string) => line.includes(workspace.paths.root) || line.includes(`sleep\0${LONG}\0`);
      return lines.filter((line) => isOurs(line) && !line.startsWith('/bin/sh'));
    },
    async [Symbol.asyncDispose]() {
      await runtime.sweep(build);
      await rm(data, { recursive: true, force: true });
    },
  };
}

export function startIn(
  { paths, start }: Workspace,
  script: string,
  more: Partial<DetachedCommand> = {},
): Promise<Run> {
  return start({
    argv: ['/bin/sh', '-c', script],
    cwd: paths.work,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: paths.home, TMPDIR: paths.tmp },
    stdin: '',
    redact: (line) => line,
    network: ALL_OF_THE_NETWORK,
    ...more,
  });
}

/** Its whole output, once it has ended. */
export async function readRun(run: Run): Promise<string> {
  const lines: string[] = [];
  for await (const batch of run.read({ stdout: 0, stderr: 0 }, new AbortController().signal)) {
    lines.push(...batch.lines.map(({ text }) => text));
  }
  return lines.join('\n');
}

export function mentions(text: string, pattern: RegExp): string[] {
  return text.split('\n').filter((line) => pattern.test(line));
}
