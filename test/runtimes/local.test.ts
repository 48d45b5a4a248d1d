import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import type { Run, Runtime, Workspace } from '../../src/runtimes/runtime.ts';
import { sweepProcesses } from '../../src/runtimes/sweep-processes.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';
import { describeRuntime } from '../contracts/runtime.contract.ts';
import type { RuntimeUnderTest } from '../contracts/runtime-case.ts';
import { waitFor } from '../support/wait-for.ts';

async function open(): Promise<RuntimeUnderTest & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-local-'));
  return {
    folder,
    keepsHomes: true,
    guardsInbox: false,
    outlive: 'all',
    runtime: openLocalRuntime({ folder: join(folder, 'builds') }),
    reopen: async () => openLocalRuntime({ folder: join(folder, 'builds') }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

describeRuntime('local', open);

describe('local runtime', () => {
  // Its own in every test run: a sweep reaches the whole machine.
  const build = randomUUID();
  const keep = (line: string) => line;
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin' };
  let underTest: RuntimeUnderTest & { folder: string };
  let runtime: Runtime;
  let workspace: Workspace;

  beforeEach(async () => {
    underTest = await open();
    runtime = underTest.runtime;
    workspace = await runtime.open(build);
  });

  afterEach(async () => {
    await runtime.sweep(build);
    await underTest[Symbol.asyncDispose]();
  });

  const start = (script: string) =>
    workspace.start({
      argv: ['/bin/sh', '-c', script],
      cwd: workspace.paths.work,
      env,
      stdin: 'prompt',
      redact: keep,
      network: ALL_OF_THE_NETWORK,
    });
  const runFile = (name: string) => join(workspace.paths.root, 'run', name);
  const supervisor = async () => Number.parseInt(await readFile(runFile('pid'), 'utf8'), 10);

  async function readTexts(run: Run | null): Promise<string[]> {
    const lines: string[] = [];
    for await (const batch of run?.read({ stdout: 0, stderr: 0 }, new AbortController().signal) ?? []) {
      lines.push(...batch.lines.map((line) => line.text));
    }
    return lines;
  }

  test('keeps everything to its user', async () => {
    await readTexts(await start('umask'));
    const mode = async (path: string) => (await stat(path)).mode & 0o777;
    const { cache: _shared, ...own } = workspace.paths;
    for (const path of Object.values(own)) expect(await mode(path)).toBe(0o700);
    for (const name of await readdir(runFile(''))) expect([name, await mode(runFile(name))]).toEqual([name, 0o600]);
    expect((await readdir(runFile(''))).sort()).toEqual([
      'command',
      'exit',
      'lease',
      'pid',
      'stderr',
      'stdin',
      'stdout',
    ]);
  });

  test('has neither environment nor input in an argument list', async () => {
    const script = 'tr "\\0" " " </proc/$PPID/cmdline; tr "\\0" " " </proc/$$/cmdline';
    const run = await workspace.start({
      argv: ['/bin/sh', '-c', script],
      cwd: workspace.paths.work,
      env: { ...env, KEY: 'open sesame' },
      stdin: 'the prompt',
      redact: keep,
      network: ALL_OF_THE_NETWORK,
    });
    const output = (await readTexts(run)).join('\n');
    expect(output).toContain('/cmdline');
    expect(output).not.toMatch(/sesame|prompt/);
    expect(await readFile(runFile('command'), 'utf8')).not.toMatch(/sesame|prompt/);
  });

  test('a run whose supervisor was killed is lost, and the sweep ends its program', async () => {
    const run = await start('echo alive; exec sleep 60');
    await waitFor(async () => (await stat(runFile('stdout'))).size > 0);
    expect(await run.exitStatus()).toBeNull();
    process.kill(await supervisor(), 'SIGKILL');
    await waitFor(() => run.exitStatus());
    const found = await workspace.attach(keep);
    expect(await found?.exitStatus()).toEqual({ kind: 'lost' });
    expect(await readTexts(found)).toEqual(['alive']);
    expect(await runtime.sweep(build)).toBeGreaterThan(0);
  });

  test('a sweep ends what runs here, and not what a worker with another folder runs of the same build', async () => {
    await using elsewhere = await open();
    const other = await elsewhere.runtime.open(build);
    const mine = await start('echo alive; exec sleep 60');
    const theirs = await other.start({
      ...{ argv: ['/bin/sh', '-c', 'echo alive; exec sleep 60'], cwd: other.paths.work, env, stdin: '', redact: keep },
      network: ALL_OF_THE_NETWORK,
    });
    await waitFor(async () => (await mine.outputBytes()) + (await theirs.outputBytes()) === 12);
    expect(await runtime.sweep(build)).toBeGreaterThan(0);
    expect([await mine.exitStatus(), await theirs.exitStatus()]).toEqual([{ kind: 'lost' }, null]);
    expect(await elsewhere.runtime.sweep(build)).toBeGreaterThan(0);
    expect(await theirs.exitStatus()).toEqual({ kind: 'lost' });
  });

  test('a start that was cut off, at any file, is a lost run', async () => {
    const names = ['command', 'stdin', 'stdout', 'stderr', 'pid', 'exit', 'lease'];
    for (const name of names) {
      await writeFile(runFile(name), '');
      const run = await workspace.attach(keep);
      expect(await run?.exitStatus()).toEqual({ kind: 'lost' });
      expect(await readTexts(run)).toEqual([]);
      await run?.stop({ graceMs: 0 });
    }
    await expect(start('')).rejects.toThrow('EEXIST');
  });

  test('a reused pid is not the supervisor', async () => {
    const innocent = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' });
    await once(innocent, 'spawn');
    await writeFile(runFile('command'), '');
    await writeFile(runFile('pid'), `${innocent.pid} 1\n`);
    const run = await workspace.attach(keep);
    expect(await run?.exitStatus()).toEqual({ kind: 'lost' });
    await run?.stop({ graceMs: 0 });
    expect(innocent.signalCode).toBeNull();
    const exited = once(innocent, 'exit');
    innocent.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
  });

  test('a half-written exit file is no exit status', async () => {
    const run = await start('exec sleep 60');
    await writeFile(runFile('exit'), '1');
    expect(await run.exitStatus()).toBeNull();
    await writeFile(runFile('exit'), '12\n');
    expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 12 });
  });

  test('output files that the program replaced by a FIFO or a link do not hang or lead elsewhere', async () => {
    await writeFile(join(workspace.paths.tmp, 'secret'), 'not for us\n');
    await symlink(join(workspace.paths.tmp, 'secret'), join(workspace.paths.tmp, 'link'));
    const run = await start('cd ../run && rm stdout && mkfifo stdout && mv ../tmp/link stderr');
    await waitFor(() => run.exitStatus());
    expect(await readTexts(run)).toEqual([]);
  });

  test('outlives the process that started it', async () => {
    const module = new URL('../../src/runtimes/local.ts', import.meta.url).href;
    const script = `
      import { openLocalRuntime } from ${JSON.stringify(module)};
      const workspace = await openLocalRuntime({ folder: process.argv[1] }).open(process.argv[2]);
      const argv = ['/bin/sh', '-c', 'echo $$; while [ ! -e ../tmp/go ]; do sleep 0.01; done; echo over'];
      const env = { PATH: process.env.PATH };
      const network = { access: 'ALL', hosts: [] };
      await workspace.start({ argv, cwd: workspace.paths.work, env, stdin: '', redact: (line) => line, network });
      process.kill(process.pid, 'SIGKILL');`;
    const starter = spawn(
      process.execPath,
      ['--input-type=module-typescript', '-e', script, join(underTest.folder, 'builds'), build],
      {
        env,
        stdio: 'inherit',
      },
    );
    expect(await once(starter, 'exit')).toEqual([null, 'SIGKILL']);
    const run = await workspace.attach(keep);
    expect(await run?.exitStatus()).toBeNull();
    await writeFile(join(workspace.paths.tmp, 'go'), '');
    expect(await readTexts(run)).toEqual([expect.stringMatching(/^\d+$/), 'over']);
    expect(await run?.exitStatus()).toEqual({ kind: 'exited', code: 0 });
  });

  test('lists only folders that can be builds', async () => {
    await mkdir(join(underTest.folder, 'builds', '.trash'));
    await writeFile(join(underTest.folder, 'builds', 'file'), '');
    expect(await runtime.list()).toEqual([{ buildId: build, closed: false }]);
    expect(await openLocalRuntime({ folder: join(underTest.folder, 'no-builds-yet') }).list()).toEqual([]);
  });
});

describe('sweepProcesses', () => {
  test('spares this process, and processes whose entry only looks alike', async () => {
    const mark = `SLIPWAY_TEST_MARK=${process.pid}`;
    const [name, value] = mark.split('=') as [string, string];
    const environments = [{ [name]: `${value}1` }, { [`X${name}`]: value }, { OTHER: mark }, { [name]: value }];
    const children = environments.map((env) => spawn('/bin/sleep', ['60'], { env, stdio: 'ignore' }));
    await Promise.all(children.map((child) => once(child, 'spawn')));
    const script = `
      import { sweepProcesses } from ${JSON.stringify(new URL('../../src/runtimes/sweep-processes.ts', import.meta.url).href)};
      process.stdout.write(String(await sweepProcesses(${JSON.stringify(mark)})));`;
    const sweeper = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      env: { [name]: value },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output = sweeper.stdout.setEncoding('utf8').toArray();
    expect(await once(sweeper, 'exit')).toEqual([0, null]);
    expect((await output).join('')).toBe('1');
    await waitFor(() => children[3]?.signalCode);
    expect(children.map((child) => child.signalCode)).toEqual([null, null, null, 'SIGKILL']);
    for (const child of children) child.kill('SIGKILL');
    expect(await sweepProcesses(mark)).toBe(0);
  });
});
