import { describe, expect, test } from 'vitest';
import type { Run } from '../../src/runtimes/runtime.ts';
import { keep, type OpenCase, PATH, readAll, shell, texts } from './runtime-case.ts';

export function describeStarts(openCase: OpenCase): void {
  describe('start', () => {
    test('gives exactly the environment, the arguments, the folder and the input', async () => {
      await using opened = await openCase();
      const { workspace, start, marks } = opened;
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
      await using opened = await openCase();
      const { start, marks } = opened;
      const lines = texts(await readAll(await start(['/usr/bin/env'], { env: { A: '1' } })));
      expect(lines.filter((line) => !line.startsWith('_=')).sort()).toEqual(['A=1', `PATH=${PATH}`, ...marks()].sort());
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
      await using opened = await openCase();
      const { start } = opened;
      const run = await start(shell(`echo last words; ${script}`));
      expect(texts(await readAll(run))).toEqual(['last words']);
      expect(await run.exitStatus()).toEqual(status);
    });

    test.each([[['no-such-program']], [['exit', '0']]] as [string, ...string[]][][])(
      '%j, a program that is not there or the name of a builtin, is status 127',
      async (argv) => {
        await using opened = await openCase();
        const run = await opened.start(argv);
        expect(texts(await readAll(run), 'stderr').join()).toContain('not found');
        expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 127 });
      },
    );

    test('refuses a second run, also of another process and after the end', async () => {
      await using opened = await openCase();
      const { underTest, build, command, start } = opened;
      const run = await start(shell('echo once'));
      await expect(start(shell('echo twice'))).rejects.toThrow('EEXIST');
      await readAll(run);
      const other = await (await underTest.reopen()).open(build);
      await expect(other.start(command(shell('echo twice')))).rejects.toThrow('EEXIST');
      expect(texts(await readAll(run))).toEqual(['once']);
    });

    test('refuses a missing folder and a variable that a shell would lose, and has not started then', async () => {
      await using opened = await openCase();
      const { workspace, command, start } = opened;
      await expect(workspace.start({ ...command(shell('')), cwd: '/no/such' })).rejects.toThrow('ENOENT');
      await expect(start(shell(''), { env: { 'a-b': '1' } })).rejects.toThrow('a-b');
      expect(await workspace.attach(keep)).toBeNull();
    });
  });
}

export function describeAttach(openCase: OpenCase): void {
  describe('attach', () => {
    test('finds no run where none was started', async () => {
      await using opened = await openCase();
      const { workspace } = opened;
      expect(await workspace.attach(keep)).toBeNull();
    });

    test('finds a run that has ended', async () => {
      await using opened = await openCase();
      const { underTest, build, start } = opened;
      await readAll(await start(shell('echo all; exit 5')));
      const found = await (await (await underTest.reopen()).open(build)).attach(() => 'redacted');
      expect(await found?.exitStatus()).toEqual({ kind: 'exited', code: 5 });
      expect(texts(await readAll(found as Run))).toEqual(['redacted']);
    });
  });
}
