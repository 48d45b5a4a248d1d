/** One case of the contract of runtimes: a workspace of its own, with the programs of test/fixtures/bin in it. */
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OutputBatch, OutputLine, Run, Runtime, SpoolOffset, Workspace } from '../../src/runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';

export interface RuntimeUnderTest extends AsyncDisposable {
  readonly runtime: Runtime;
  /** The home of a build outlives it. */
  readonly keepsHomes: boolean;
  /** What `SLIPWAY_INBOX` names cannot be written by the program. */
  readonly guardsInbox: boolean;
  /** How many processes that a run left behind live on without it: none where the sandbox ends with the program. */
  readonly outlive: 'all' | 'none';
  /** Another instance over the same builds, as another process would open it. */
  reopen(): Promise<Runtime>;
}

type Argv = [string, ...string[]];

const BIN = new URL('../fixtures/bin/', import.meta.url).pathname;
export const START: SpoolOffset = { stdout: 0, stderr: 0 };
export const PATH = '/usr/local/bin:/usr/bin:/bin';
export const keep = (line: string) => line;

export const shell = (script: string, ...args: string[]): Argv => ['/bin/sh', '-c', script, 'sh', ...args];

export async function readAll(run: Run, from = START, signal = new AbortController().signal): Promise<OutputBatch[]> {
  const batches: OutputBatch[] = [];
  for await (const batch of run.read(from, signal)) batches.push(batch);
  return batches;
}

export function texts(batches: readonly OutputBatch[], stream: 'stdout' | 'stderr' = 'stdout'): string[] {
  return batches.flatMap((batch) => batch.lines.filter((line) => line.stream === stream).map((line) => line.text));
}

/** When it is there, the program has got as far as printing it. */
export async function firstLine(run: Run): Promise<OutputLine> {
  const stop = new AbortController();
  for await (const { lines } of run.read(START, stop.signal)) {
    stop.abort();
    return lines[0] as OutputLine;
  }
  throw new Error('The program printed nothing.');
}

export type RuntimeCase = Awaited<ReturnType<typeof openRuntimeCase>>;
export type OpenCase = () => Promise<RuntimeCase>;

export async function openRuntimeCase(underTest: RuntimeUnderTest) {
  const { runtime } = underTest;
  // Of each case: a sweep reaches the whole machine, a pod takes its time to go, and cases run beside each other.
  const build = randomUUID();
  await using opened = new AsyncDisposableStack();
  opened.use(underTest);
  opened.defer(async () => void (await runtime.sweep(build)));
  const workspace = await runtime.open(build);
  await workspace.write(await readPrograms());

  const command = (argv: Argv, more: { env?: Record<string, string>; stdin?: string } = {}) => ({
    argv,
    cwd: workspace.paths.work,
    env: { PATH, ...more.env },
    stdin: more.stdin ?? '',
    redact: keep,
    network: ALL_OF_THE_NETWORK,
  });
  const exec = (argv: Argv, more: Partial<Parameters<Workspace['exec']>[0]> = {}) =>
    workspace.exec({ argv, cwd: workspace.paths.work, env: { PATH }, timeoutMs: 20_000, ...more });
  /** What a shell of the workspace prints, or null when it fails. */
  const there = async (script: string, ...args: string[]) => {
    const { exitCode, stdout } = await exec(shell(script, ...args), { cwd: '/' });
    return exitCode === 0 ? stdout.toString() : null;
  };
  const resources = opened.move();
  return {
    underTest,
    runtime,
    build,
    workspace,
    command,
    exec,
    there,
    start: (...args: Parameters<typeof command>) => workspace.start(command(...args)),
    program: (name: string, ...args: string[]): Argv => ['/bin/sh', join(workspace.paths.work, 'bin', name), ...args],
    /** What every program's environment has from the runtime. */
    marks: () => [`SLIPWAY_BUILD_ID=${build}`, `SLIPWAY_WORKSPACE=${workspace.paths.root}`],
    listed: async () => (await runtime.list()).filter(({ buildId }) => buildId === build),
    exists: async (path: string) => (await there('test -e "$1"', path)) !== null,
    write: async (path: string, content: string) => void (await there('printf %s "$2" >"$1"', path, content)),
    readText: (path: string) => there('cat "$1"', path),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function readPrograms() {
  const names = await readdir(BIN);
  const files = names.map(async (name) => ({
    path: `bin/${name}`,
    content: await readFile(join(BIN, name)),
    executable: true,
  }));
  return Promise.all(files);
}
