import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { OutputLine, Run } from '../../src/runtimes/runtime.ts';
import { MAX_LINE_BYTES } from '../../src/runtimes/runtime.ts';
import { MAX_BATCH_LINES } from '../../src/runtimes/tail-output.ts';
import { keep, type OpenCase, readAll, START, shell, texts } from './runtime-case.ts';

export function describeOutput(openCase: OpenCase): void {
  describe('read', () => {
    test('gives every line of both streams once, redacted, whatever bytes they were', async () => {
      await using opened = await openCase();
      const { workspace, program, command } = opened;
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
      await using opened = await openCase();
      const { program, start } = opened;
      const run = await start(program('chatty.sh', '12000'));
      const batches = await readAll(run);
      expect(batches.length).toBeGreaterThan(2);
      expect(Math.max(...batches.map(({ lines }) => lines.length))).toBeLessThanOrEqual(MAX_BATCH_LINES);
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
      await using opened = await openCase();
      const { underTest, workspace, build, program, start, write } = opened;
      const run = await start(program('slow.sh', workspace.paths.tmp));
      const first = run.read(START, new AbortController().signal)[Symbol.asyncIterator]();
      await write(join(workspace.paths.tmp, '1'), '');
      const { value } = await first.next();
      expect(value.lines.map((line: OutputLine) => line.text)).toEqual(['tick 1']);
      expect(await run.exitStatus()).toBeNull();

      const successor = await (await (await underTest.reopen()).open(build)).attach(keep);
      const rest = readAll(successor as Run, value.offset);
      for (const n of ['2', '3']) await write(join(workspace.paths.tmp, n), '');
      expect(texts(await rest)).toEqual(['parttick 2', 'parttick 3', 'part']);
      expect(await successor?.exitStatus()).toEqual({ kind: 'exited', code: 7 });
      await first.return?.();
    });

    test('ends early when aborted, and loses nothing by it', async () => {
      await using opened = await openCase();
      const { workspace, program, start, write } = opened;
      const run = await start(program('slow.sh', workspace.paths.tmp));
      const stop = new AbortController();
      const reading = readAll(run, START, stop.signal);
      stop.abort();
      expect(await reading).toEqual([]);
      for (const n of ['1', '2', '3']) await write(join(workspace.paths.tmp, n), '');
      expect(texts(await readAll(run))).toHaveLength(4);
    });

    test('ends by the exit status, though a daemon holds the output', async () => {
      await using opened = await openCase();
      const { runtime, build, program, start } = opened;
      const run = await start(program('daemon.sh'));
      expect(texts(await readAll(run))).toContain('done');
      expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 3 });
      await run.stop({ graceMs: 0 });
      expect(await runtime.sweep(build)).toBe(0);
    });
  });
}

/**
 * What they print is the memory of this process: nothing else may go on in it. A tenth of each flood comes first, as what
 * grows with the output would be seen beside it.
 */
export function describeFloods(openCase: OpenCase): void {
  describe('floods', () => {
    test('cuts an endless line and keeps memory bounded', async () => {
      const growths: string[] = [];
      for (const megabytes of [30, 300]) {
        await using opened = await openCase();
        const { start } = opened;
        const run = await start(shell(`head -c ${megabytes}000000 /dev/zero | tr "\\0" x; echo; echo next`));
        const lines: { length: number; truncated: boolean }[] = [];
        const growth = await growthDuring(run, (batch) => {
          lines.push(...batch.map(({ text, truncated }) => ({ length: text.length, truncated })));
        });
        const [long, ...others] = lines;
        expect(long?.truncated).toBe(true);
        expect(long?.length).toBeLessThanOrEqual(MAX_LINE_BYTES);
        expect(long?.length).toBeGreaterThan(MAX_LINE_BYTES / 2);
        expect(others).toEqual([{ length: 4, truncated: false }]);
        growths.push(`of ${megabytes} MB: RSS +${growth} MB`);
      }
      process.stdout.write(`a line ${growths.join(', ')}\n`);
    });

    test('gives a flood of output without holding it', async () => {
      const growths: string[] = [];
      for (const lines of [200_000, 2_000_000]) {
        await using opened = await openCase();
        const { start } = opened;
        const run = await start(shell(`seq 1 ${lines}`));
        const startedAt = performance.now();
        let [count, sum] = [0, 0];
        const growth = await growthDuring(run, (batch) => {
          count += batch.length;
          for (const line of batch) sum += Number(line.text);
        });
        expect([count, sum]).toEqual([lines, (lines * (lines + 1)) / 2]);
        const ms = Math.round(performance.now() - startedAt);
        growths.push(`${lines / 1e6} M lines: ${ms} ms, RSS +${growth} MB`);
      }
      process.stdout.write(`${growths.join('; ')}\n`);
    });
  });
}

/** Reads to the end. By how much the memory of this process has grown at most, in MB. */
async function growthDuring(run: Run, take: (lines: readonly OutputLine[]) => void): Promise<number> {
  const before = process.memoryUsage().rss;
  let peak = before;
  for await (const { lines } of run.read(START, new AbortController().signal)) {
    peak = Math.max(peak, process.memoryUsage().rss);
    take(lines);
  }
  return Math.round((peak - before) / 1e6);
}
