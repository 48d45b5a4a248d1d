import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Run } from '../../src/runtimes/runtime.ts';
import { firstLine, keep, type OpenCase, type RuntimeCase, readAll, shell, texts } from './runtime-case.ts';

export function describeInbox(openCase: OpenCase): void {
  describe('inbox', () => {
    // Repeats each word until the word is `end`.
    const LISTENER =
      'echo ready; tail -n +1 -f "$SLIPWAY_INBOX" | while read -r word; do [ "$word" = end ] && exit; echo "<$word>"; done';
    const listen = ({ workspace, command }: RuntimeCase) =>
      workspace.start({ ...command(shell(LISTENER)), inbox: true });

    test('a program is given every word, in order, also those of another process', async () => {
      await using opened = await openCase();
      const { underTest, build } = opened;
      const run = await listen(opened);
      await run.send('one');
      const other = await (await (await underTest.reopen()).open(build)).attach(keep);
      await other?.send('two');
      await run.send('end');
      expect(texts(await readAll(run)).filter((text) => text !== '<>')).toEqual(['ready', '<one>', '<two>']);
      await run.send('after its end');
    });

    test('a program without one is given nothing', async () => {
      await using opened = await openCase();
      const { start } = opened;
      const run = await start(shell('echo "inbox: $SLIPWAY_INBOX"'));
      await run.send('hello');
      expect(texts(await readAll(run))).toEqual(['inbox: ']);
    });

    test('where there is a sandbox, the program cannot write into it', async () => {
      await using opened = await openCase();
      const { underTest, workspace, command } = opened;
      const run = await workspace.start({
        ...command(shell('echo forged >>"$SLIPWAY_INBOX" || echo refused; rm -f "$SLIPWAY_INBOX" || echo kept')),
        inbox: true,
      });
      const written = texts(await readAll(run));
      expect(written).toEqual(underTest.guardsInbox ? ['refused', 'kept'] : []);
    });
  });
}

export function describeEnds(openCase: OpenCase): void {
  describe('stop and sweep', () => {
    test('a program that heeds SIGTERM has time to end in its own way', async () => {
      await using opened = await openCase();
      const { start } = opened;
      const run = await start(shell('trap "echo bye; exit 9" TERM; echo hi; while :; do sleep 0.01; done'));
      await firstLine(run);
      await run.stop({ graceMs: 20_000 });
      expect(texts(await readAll(run))).toEqual(['hi', 'bye']);
      expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 9 });
    });

    test('ends a program that ignores SIGTERM, from another process, and may be repeated', async () => {
      await using opened = await openCase();
      const { underTest, build, program, start } = opened;
      await firstLine(await start(program('stubborn.sh')));
      const other = await underTest.reopen();
      const run = (await (await other.open(build)).attach(keep)) as Run;
      await Promise.all([run.stop({ graceMs: 100 }), run.stop({ graceMs: 100 })]);
      expect(await run.exitStatus()).toEqual({ kind: 'lost' });
      expect(texts(await readAll(run))).toEqual(['ready']);
      expect(await other.sweep(build)).toBe(0);
      await run.stop({ graceMs: 100 });
    });

    test('sweep kills what a run left behind, counts it, and leaves other builds alone', async () => {
      await using opened = await openCase();
      const { underTest, runtime, build, command, start } = opened;
      const neighbour = await runtime.open(randomUUID());
      const stubborn = shell('trap "" TERM; echo ready; sleep 60');
      const other = await neighbour.start({ ...command(stubborn), cwd: neighbour.paths.work });
      await firstLine(other);
      await readAll(await start(shell('setsid sleep 60 & setsid sleep 60 & exit 0')));
      // What started them may still be among them, about to end.
      const killed = await (await underTest.reopen()).sweep(build);
      if (underTest.outlive === 'all') expect(killed).toBeGreaterThanOrEqual(2);
      expect(await runtime.sweep(build)).toBe(0);
      expect(await other.exitStatus()).toBeNull();
      await other.stop({ graceMs: 0 });
    });
  });
}
