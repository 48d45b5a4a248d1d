import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../support/wait-for.ts';
import { type OpenCase, shell } from './runtime-case.ts';

export function describeExec(openCase: OpenCase): void {
  describe('exec', () => {
    test('gives output, exit code and exactly the environment that was given', async () => {
      await using opened = await openCase();
      const { exec, marks } = opened;
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
      await using opened = await openCase();
      const { exec } = opened;
      expect(await exec(shell('kill -9 $$'))).toMatchObject({ exitCode: null, timedOut: false, aborted: false });
    });

    test('throws when the program cannot be started', async () => {
      await using opened = await openCase();
      const { exec } = opened;
      await expect(exec(['/no/such/program'])).rejects.toThrow('ENOENT');
    });

    test('does not mind a program that never reads its input', async () => {
      await using opened = await openCase();
      const { exec } = opened;
      const done = await exec(shell('exit 0'), { stdin: 'x'.repeat(1_000_000) });
      expect(done.exitCode).toBe(0);
    });

    test('a timeout ends the whole group, also one that ignores SIGTERM', async () => {
      await using opened = await openCase();
      const { runtime, build, program, exec } = opened;
      const done = await exec(program('stubborn.sh'), { timeoutMs: 1_000 });
      expect(done).toMatchObject({ exitCode: null, timedOut: true, stdout: Buffer.from('ready\n') });
      expect(await runtime.sweep(build)).toBe(0);
    });

    test('an abort ends it, also one that came before', async () => {
      await using opened = await openCase();
      const { workspace, exec, exists } = opened;
      const stop = new AbortController();
      const marker = join(workspace.paths.tmp, 'running');
      const running = exec(shell('touch "$1"; exec sleep 60', marker), { signal: stop.signal });
      await waitFor(() => exists(marker));
      stop.abort();
      expect(await running).toMatchObject({ exitCode: null, aborted: true, timedOut: false });
      expect(await exec(shell('touch "$1"2', marker), { signal: stop.signal })).toMatchObject({ aborted: true });
      expect(await exists(`${marker}2`)).toBe(false);
    });

    test('too much output ends it; stderr keeps its end', async () => {
      await using opened = await openCase();
      const { exec } = opened;
      const flood = await exec(shell('exec cat /dev/zero'), { maxOutputBytes: 100_000 });
      expect(flood).toMatchObject({ truncated: true, exitCode: null });
      expect(flood.stdout.length).toBe(100_000);
      const { stderr } = await exec(shell('head -c 200000 /dev/zero | tr "\\0" x >&2; echo end >&2'));
      expect(stderr.length).toBe(64 * 1024);
      expect(stderr.endsWith('xend\n')).toBe(true);
    });

    test('a child that holds the output does not hold us', async () => {
      await using opened = await openCase();
      const { runtime, build, program, exec } = opened;
      const { exitCode, stdout } = await exec(program('daemon.sh'), { timeoutMs: 10_000 });
      expect([exitCode, stdout.toString()]).toEqual([3, expect.stringContaining('done\n')]);
      expect(await runtime.sweep(build)).toBeGreaterThan(0);
    });
  });
}
