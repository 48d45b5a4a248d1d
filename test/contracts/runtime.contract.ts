/** What every runtime promises; `describeRuntime` is called by the test of each. Programs are in test/fixtures/bin. */
import { randomUUID } from 'node:crypto';
import { access, chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OutputBatch, OutputLine, Run, Runtime, SpoolOffset, Workspace } from '../../src/runtimes/runtime.ts';
import { MAX_LINE_BYTES } from '../../src/runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';
import { waitFor } from '../support/wait-for.ts';

export interface RuntimeUnderTest extends AsyncDisposable {
  readonly runtime: Runtime;
  /** How many processes that a run left behind live on without it: none where the sandbox ends with the program. */
  readonly outlive: 'all' | 'none';
  /** Another instance over the same builds, as another process would open it. */
  reopen(): Promise<Runtime>;
}

const BIN = new URL('../fixtures/bin/', import.meta.url).pathname;
const START: SpoolOffset = { stdout: 0, stderr: 0 };
const PATH = '/usr/local/bin:/usr/bin:/bin';
// Its own in every test run: a sweep reaches the whole machine.
const BUILD = randomUUID();
const keep = (line: string) => line;

const program = (name: string, ...args: string[]): [string, ...string[]] => ['/bin/sh', join(BIN, name), ...args];
const shell = (script: string, ...args: string[]): [string, ...string[]] => ['/bin/sh', '-c', script, 'sh', ...args];

async function readAll(run: Run, from = START, signal = new AbortController().signal): Promise<OutputBatch[]> {
  const batches: OutputBatch[] = [];
  for await (const batch of run.read(from, signal)) batches.push(batch);
  return batches;
}

const texts = (batches: readonly OutputBatch[], stream: 'stdout' | 'stderr' = 'stdout') =>
  batches.flatMap((batch) => batch.lines.filter((line) => line.stream === stream).map((line) => line.text));

export function describeRuntime(name: string, open: () => Promise<RuntimeUnderTest>): void {
  describe(`runtime ${name}`, () => {
    let underTest: RuntimeUnderTest;
    let runtime: Runtime;
    let workspace: Workspace;

    beforeEach(async () => {
      underTest = await open();
      runtime = underTest.runtime;
      workspace = await runtime.open(BUILD);
    });

    afterEach(async () => {
      await runtime.sweep(BUILD);
      await underTest[Symbol.asyncDispose]();
    });

    const command = (argv: [string, ...string[]], more: { env?: Record<string, string>; stdin?: string } = {}) => ({
      argv,
      cwd: workspace.paths.work,
      env: { PATH, ...more.env },
      stdin: more.stdin ?? '',
      redact: keep,
      network: ALL_OF_THE_NETWORK,
    });
    const start = (...args: Parameters<typeof command>) => workspace.start(command(...args));
    const exec = (argv: [string, ...string[]], more: Partial<Parameters<Workspace['exec']>[0]> = {}) =>
      workspace.exec({ argv, cwd: workspace.paths.work, env: { PATH }, timeoutMs: 20_000, ...more });

    const marks = () => [`SLIPWAY_BUILD_ID=${BUILD}`, `SLIPWAY_WORKSPACE=${workspace.paths.root}`];

    /** The first line is there: the program has got as far as printing it. */
    async function firstLine(run: Run): Promise<OutputLine> {
      const stop = new AbortController();
      for await (const { lines } of run.read(START, stop.signal)) {
        stop.abort();
        return lines[0] as OutputLine;
      }
      throw new Error('The program printed nothing.');
    }

    describe('workspace', () => {
      test('is opened again as it was left, and listed', async () => {
        await writeFile(join(workspace.paths.work, 'file'), 'kept');
        const again = await (await underTest.reopen()).open(BUILD);
        expect(again.paths).toEqual(workspace.paths);
        expect(await readFile(join(again.paths.work, 'file'), 'utf8')).toBe('kept');
        expect(await runtime.list()).toEqual([{ buildId: BUILD, closed: false }]);
      });

      test('files are written into the checkout, with their folders', async () => {
        const content = Buffer.from('#!/bin/sh\n');
        await workspace.write([{ path: 'bin/deep/run', content, executable: true }]);
        await workspace.write([{ path: 'README.md', content, executable: false }]);
        expect(await readFile(join(workspace.paths.work, 'bin/deep/run'))).toEqual(content);
        const modes = ['bin/deep/run', 'README.md'].map(
          async (path) => (await stat(join(workspace.paths.work, path))).mode & 0o111,
        );
        expect((await Promise.all(modes)).map((mode) => mode !== 0)).toEqual([true, false]);
      });

      test('the home of one build is copied to another, if there is one', async () => {
        const other = `${BUILD}-other`;
        expect(await runtime.copyHome(`${BUILD}-nobody`, other)).toBe(false);
        expect(await runtime.copyHome(BUILD, other)).toBe(false);
        await writeFile(join(workspace.paths.home, 'session'), 'kept');
        expect(await runtime.copyHome(BUILD, other)).toBe(true);
        const copy = await runtime.open(other);
        expect(await readFile(join(copy.paths.home, 'session'), 'utf8')).toBe('kept');
        await copy.close({ keepHome: false });
      });

      test('close keeps home if asked, then removes everything; both may be repeated', async () => {
        const { paths } = workspace;
        await writeFile(join(paths.home, 'session'), 'kept');
        await mkdir(join(paths.work, 'closed'));
        await writeFile(join(paths.work, 'closed', 'file'), 'x');
        await chmod(join(paths.work, 'closed'), 0o500);
        for (let i = 0; i < 2; i++) await workspace.close({ keepHome: true });
        expect(await readFile(join(paths.home, 'session'), 'utf8')).toBe('kept');
        for (const path of [paths.work, paths.git, paths.tmp]) await expect(access(path)).rejects.toThrow('ENOENT');
        expect(await runtime.list()).toEqual([{ buildId: BUILD, closed: true }]);
        for (let i = 0; i < 2; i++) await workspace.close({ keepHome: false });
        expect(await runtime.list()).toEqual([]);
      });

      test.each(['', '..', '../x', 'a/b', 'a\0', '.hidden', '-rf'])('refuses the build id %j', async (id) => {
        await expect(runtime.open(id)).rejects.toThrow('build id');
        await expect(runtime.sweep(id)).rejects.toThrow('build id');
      });
    });

    describe('exec', () => {
      test('gives output, exit code and exactly the environment that was given', async () => {
        const { exitCode, stdout, stderr } = await exec(['/usr/bin/env'], {
          env: { PATH: '/bin', 'odd-name': 'ü\n=' },
        });
        expect(stdout.toString().split('\n').sort()).toEqual(['', '=', 'PATH=/bin', ...marks(), 'odd-name=ü'].sort());
        expect([exitCode, stderr]).toEqual([0, '']);
        expect(await exec(shell('cat; echo oops >&2; exit 4'), { stdin: 'in' })).toMatchObject({
          exitCode: 4,
          stdout: Buffer.from('in'),
          stderr: 'oops\n',
        });
      });

      test('says that a signal ended it', async () => {
        expect(await exec(shell('kill -9 $$'))).toMatchObject({ exitCode: null, timedOut: false, aborted: false });
      });

      test('throws when the program cannot be started', async () => {
        await expect(exec(['/no/such/program'])).rejects.toThrow('ENOENT');
      });

      test('does not mind a program that never reads its input', async () => {
        const done = await exec(shell('exit 0'), { stdin: 'x'.repeat(1_000_000) });
        expect(done.exitCode).toBe(0);
      });

      test('a timeout ends the whole group, also one that ignores SIGTERM', async () => {
        const done = await exec(program('stubborn.sh'), { timeoutMs: 100 });
        expect(done).toMatchObject({ exitCode: null, timedOut: true, stdout: Buffer.from('ready\n') });
        expect(await runtime.sweep(BUILD)).toBe(0);
      });

      test('an abort ends it, also one that came before', async () => {
        const stop = new AbortController();
        const marker = join(workspace.paths.tmp, 'running');
        const running = exec(shell('touch "$1"; exec sleep 60', marker), { signal: stop.signal });
        await waitFor(() =>
          access(marker).then(
            () => true,
            () => false,
          ),
        );
        stop.abort();
        expect(await running).toMatchObject({ exitCode: null, aborted: true, timedOut: false });
        expect(await exec(shell('touch "$1"2', marker), { signal: stop.signal })).toMatchObject({ aborted: true });
        await expect(access(`${marker}2`)).rejects.toThrow('ENOENT');
      });

      test('too much output ends it; stderr keeps its end', async () => {
        const flood = await exec(shell('exec cat /dev/zero'), { maxOutputBytes: 100_000 });
        expect(flood).toMatchObject({ truncated: true, exitCode: null });
        expect(flood.stdout.length).toBe(100_000);
        const { stderr } = await exec(shell('head -c 200000 /dev/zero | tr "\\0" x >&2; echo end >&2'));
        expect(stderr.length).toBe(64 * 1024);
        expect(stderr.endsWith('xend\n')).toBe(true);
      });

      test('a child that holds the output does not hold us', async () => {
        const { exitCode, stdout } = await exec(program('daemon.sh'), { timeoutMs: 10_000 });
        expect([exitCode, stdout.toString()]).toEqual([3, expect.stringContaining('done\n')]);
        expect(await runtime.sweep(BUILD)).toBeGreaterThan(0);
      });
    });

    describe('start', () => {
      test('gives exactly the environment, the arguments, the folder and the input', async () => {
        const env = { PATH: '/bin:/usr/bin', HOME: '/h', status: 's', run: 'r', TEXT: '$HOME `id`\n"\' \\' };
        const script = 'env -0 | tr "\\n\\0" "~\\n"; printf "%s|" "$@"; pwd; cat';
        const run = await start(shell(script, '$(id)', '', '-n', 'a b'), { env, stdin: 'from\nstdin' });
        const lines = texts(await readAll(run));
        // Shells add PWD, and some of them `_`, for the programs that they start: here for `env`.
        const environment = lines.slice(0, -3).filter((line) => !/^(PWD|_|SHLVL|OLDPWD)=/.test(line));
        expect(environment.sort()).toEqual(
          [
            ...Object.entries({ ...env, TEXT: env.TEXT.replace('\n', '~') }).map((entry) => entry.join('=')),
            ...marks(),
          ].sort(),
        );
        expect(lines.slice(-3)).toEqual([`$(id)||-n|a b|${workspace.paths.work}`, 'from', 'stdin']);
      });

      test('adds nothing but the mark for a program that is no shell', async () => {
        const lines = texts(await readAll(await start(['/usr/bin/env'], { env: { A: '1' } })));
        expect(lines.filter((line) => !line.startsWith('_=')).sort()).toEqual(
          ['A=1', `PATH=${PATH}`, ...marks()].sort(),
        );
      });

      test.each([
        ['exit 0', { kind: 'exited', code: 0 }],
        ['exit 7', { kind: 'exited', code: 7 }],
        ['exit 145', { kind: 'exited', code: 145 }],
        ['exit 255', { kind: 'exited', code: 255 }],
        ['kill -TERM $$', { kind: 'signalled', signal: 'SIGTERM' }],
        ['kill -KILL $$', { kind: 'signalled', signal: 'SIGKILL' }],
        ['kill -SEGV $$', { kind: 'signalled', signal: 'SIGSEGV' }],
      ])('%s is %j', async (script, status) => {
        const run = await start(shell(`echo last words; ${script}`));
        expect(texts(await readAll(run))).toEqual(['last words']);
        expect(await run.exitStatus()).toEqual(status);
      });

      test('a program that is not there, or only the name of a builtin, is status 127', async () => {
        for (const argv of [['no-such-program'], ['exit', '0']] as [string, ...string[]][]) {
          const run = await start(argv);
          expect(texts(await readAll(run), 'stderr').join()).toContain('not found');
          expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 127 });
          await workspace.close({ keepHome: false });
          workspace = await runtime.open(BUILD);
        }
      });

      test('refuses a second run, also of another process and after the end', async () => {
        const run = await start(shell('echo once'));
        await expect(start(shell('echo twice'))).rejects.toThrow('EEXIST');
        await readAll(run);
        const other = await (await underTest.reopen()).open(BUILD);
        await expect(other.start(command(shell('echo twice')))).rejects.toThrow('EEXIST');
        expect(texts(await readAll(run))).toEqual(['once']);
      });

      test('refuses a missing folder and a variable that a shell would lose, and has not started then', async () => {
        await expect(workspace.start({ ...command(shell('')), cwd: '/no/such' })).rejects.toThrow('ENOENT');
        await expect(start(shell(''), { env: { 'a-b': '1' } })).rejects.toThrow('a-b');
        expect(await workspace.attach(keep)).toBeNull();
      });
    });

    describe('read', () => {
      test('gives every line of both streams once, redacted, whatever bytes they were', async () => {
        const run = await workspace.start({
          ...command(program('chatty.sh', '40')),
          redact: (line) => line.replaceAll('𝄞', '*'),
        });
        const batches = await readAll(run);
        const numbers = Array.from({ length: 40 }, (_, i) => i);
        expect(texts(batches)).toEqual([...numbers.flatMap((i) => [`line ${i} äöü €*`, '']), 'the end']);
        const even = numbers.filter((i) => i % 2 === 0);
        expect(texts(batches, 'stderr')).toEqual(even.map((i) => `warning ${i} \ufffd\ufffd nul`));
      });

      test('reading on from any offset gives exactly the rest', async () => {
        const run = await start(program('chatty.sh', '1500'));
        const batches = await readAll(run);
        expect(batches.length).toBeGreaterThan(5);
        expect(Math.max(...batches.map(({ lines }) => lines.length))).toBeLessThanOrEqual(500);
        const all = batches.flatMap(({ lines }) => lines);
        for (const { offset } of batches) {
          const rest = await readAll(run, offset);
          for (const stream of ['stdout', 'stderr'] as const) {
            const given = rest.flatMap(({ lines }) => lines).filter((line) => line.stream === stream);
            expect(given).toEqual(all.filter((line) => line.stream === stream && line.end > offset[stream]));
          }
          expect((rest.at(-1) ?? { offset }).offset).toEqual(batches.at(-1)?.offset);
        }
      });

      test('gives lines while the program runs, to several readers and after a re-attach', async () => {
        const run = await start(program('slow.sh', workspace.paths.tmp));
        const first = run.read(START, new AbortController().signal)[Symbol.asyncIterator]();
        await writeFile(join(workspace.paths.tmp, '1'), '');
        const { value } = await first.next();
        expect(value.lines.map((line: OutputLine) => line.text)).toEqual(['tick 1']);
        expect(await run.exitStatus()).toBeNull();

        const successor = await (await (await underTest.reopen()).open(BUILD)).attach(keep);
        const rest = readAll(successor as Run, value.offset);
        for (const n of ['2', '3']) await writeFile(join(workspace.paths.tmp, n), '');
        expect(texts(await rest)).toEqual(['parttick 2', 'parttick 3', 'part']);
        expect(await successor?.exitStatus()).toEqual({ kind: 'exited', code: 7 });
        await first.return?.();
      });

      test('ends early when aborted, and loses nothing by it', async () => {
        const run = await start(program('slow.sh', workspace.paths.tmp));
        const stop = new AbortController();
        const reading = readAll(run, START, stop.signal);
        stop.abort();
        expect(await reading).toEqual([]);
        for (const n of ['1', '2', '3']) await writeFile(join(workspace.paths.tmp, n), '');
        expect(texts(await readAll(run))).toHaveLength(4);
      });

      test('ends by the exit status, though a daemon holds the output', async () => {
        const run = await start(program('daemon.sh'));
        expect(texts(await readAll(run))).toContain('done');
        expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 3 });
        await run.stop({ graceMs: 0 });
        expect(await runtime.sweep(BUILD)).toBe(0);
      });

      test('cuts an endless line and keeps memory bounded', async () => {
        const run = await start(shell('head -c 300000000 /dev/zero | tr "\\0" x; echo; echo next'));
        const before = process.memoryUsage().rss;
        let peak = before;
        const lines: { length: number; truncated: boolean }[] = [];
        for await (const batch of run.read(START, new AbortController().signal)) {
          peak = Math.max(peak, process.memoryUsage().rss);
          lines.push(...batch.lines.map(({ text, truncated }) => ({ length: text.length, truncated })));
        }
        const [long, ...others] = lines;
        expect(long?.truncated).toBe(true);
        expect(long?.length).toBeLessThanOrEqual(MAX_LINE_BYTES);
        expect(long?.length).toBeGreaterThan(MAX_LINE_BYTES / 2);
        expect(others).toEqual([{ length: 4, truncated: false }]);
        process.stdout.write(`300 MB line: RSS +${Math.round((peak - before) / 1e6)} MB\n`);
      });

      test('gives a flood of output without holding it', async () => {
        const run = await start(shell('seq 1 2000000'));
        const before = process.memoryUsage().rss;
        const startedAt = performance.now();
        let [peak, count, sum] = [before, 0, 0];
        for await (const batch of run.read(START, new AbortController().signal)) {
          peak = Math.max(peak, process.memoryUsage().rss);
          count += batch.lines.length;
          for (const line of batch.lines) sum += Number(line.text);
        }
        expect([count, sum]).toEqual([2_000_000, 2_000_001_000_000]);
        const ms = Math.round(performance.now() - startedAt);
        process.stdout.write(`2 M lines: ${ms} ms, RSS +${Math.round((peak - before) / 1e6)} MB\n`);
      });
    });

    describe('attach', () => {
      test('finds no run where none was started', async () => {
        expect(await workspace.attach(keep)).toBeNull();
      });

      test('finds a run that has ended', async () => {
        await readAll(await start(shell('echo all; exit 5')));
        const found = await (await (await underTest.reopen()).open(BUILD)).attach(() => 'redacted');
        expect(await found?.exitStatus()).toEqual({ kind: 'exited', code: 5 });
        expect(texts(await readAll(found as Run))).toEqual(['redacted']);
      });
    });

    describe('inbox', () => {
      // Repeats each word until the word is `end`.
      const LISTENER =
        'echo ready; tail -n +1 -f "$SLIPWAY_INBOX" | while read -r word; do [ "$word" = end ] && exit; echo "<$word>"; done';
      const listen = () => workspace.start({ ...command(shell(LISTENER)), inbox: true });

      test('a program is given every word, in order, also those of another process', async () => {
        const run = await listen();
        await run.send('one');
        const other = await (await (await underTest.reopen()).open(BUILD)).attach(keep);
        await other?.send('two');
        await run.send('end');
        expect(texts(await readAll(run)).filter((text) => text !== '<>')).toEqual(['ready', '<one>', '<two>']);
        await run.send('after its end');
      });

      test('a program without one is given nothing', async () => {
        const run = await start(shell('echo "inbox: $SLIPWAY_INBOX"'));
        await run.send('hello');
        expect(texts(await readAll(run))).toEqual(['inbox: ']);
      });

      test('where there is a sandbox, the program cannot write into it', async () => {
        const run = await workspace.start({
          ...command(shell('echo forged >>"$SLIPWAY_INBOX" || echo refused; rm -f "$SLIPWAY_INBOX" || echo kept')),
          inbox: true,
        });
        const written = texts(await readAll(run));
        expect(written).toEqual(underTest.outlive === 'none' ? ['refused', 'kept'] : []);
      });
    });

    describe('stop and sweep', () => {
      test('a program that heeds SIGTERM has time to end in its own way', async () => {
        const run = await start(shell('trap "echo bye; exit 9" TERM; echo hi; while :; do sleep 0.01; done'));
        await firstLine(run);
        await run.stop({ graceMs: 20_000 });
        expect(texts(await readAll(run))).toEqual(['hi', 'bye']);
        expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 9 });
      });

      test('ends a program that ignores SIGTERM, from another process, and may be repeated', async () => {
        await firstLine(await start(program('stubborn.sh')));
        const other = await underTest.reopen();
        const run = (await (await other.open(BUILD)).attach(keep)) as Run;
        await Promise.all([run.stop({ graceMs: 100 }), run.stop({ graceMs: 100 })]);
        expect(await run.exitStatus()).toEqual({ kind: 'lost' });
        expect(texts(await readAll(run))).toEqual(['ready']);
        expect(await other.sweep(BUILD)).toBe(0);
        await run.stop({ graceMs: 100 });
      });

      test('sweep kills what a run left behind, counts it, and leaves other builds alone', async () => {
        const neighbour = await runtime.open(randomUUID());
        const other = await neighbour.start({ ...command(program('stubborn.sh')), cwd: neighbour.paths.work });
        await firstLine(other);
        await readAll(await start(shell('setsid sleep 60 & setsid sleep 60 & exit 0')));
        // What started them may still be among them, about to end.
        const killed = await (await underTest.reopen()).sweep(BUILD);
        if (underTest.outlive === 'all') expect(killed).toBeGreaterThanOrEqual(2);
        expect(await runtime.sweep(BUILD)).toBe(0);
        expect(await other.exitStatus()).toBeNull();
        await other.stop({ graceMs: 0 });
      });
    });
  });
}
