/** What builds cost a worker that runs in a process of its own. */
import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'vitest';

/** For clear_refs of procfs: VmHWM begins anew. */
const RESET_PEAK = '5';

const SMALL_MB = 30;
export const FLOOD_MB = 300;
export const MAX_GROWTH_MB = 64;
const LINE = 'x'.repeat(199);

/**
 * How much more memory, in MB, the worker needs for a build whose agent prints FLOOD_MB than for one that prints little.
 * `run` plays these steps of the scripted agent, and resolves with how the build has ended.
 */
export async function measureFlood(
  worker: ChildProcess,
  run: (steps: readonly object[]) => Promise<string>,
): Promise<number> {
  const ends: string[] = [];
  const flood = (megabytes: number, ...then: readonly object[]) =>
    peakMemoryDuring(worker, async () => {
      const print = { run: `yes ${LINE} | head -c ${megabytes * 1_000_000} >&2; echo $$ >"$SLIPWAY_BUILD_ID.txt"` };
      ends.push(await run([print, ...then]));
    });
  // What V8 keeps for objects that live for a moment is the same for any flood, once it has seen one; when it gives some of it
  // back is chance.
  const small = Math.max(await flood(SMALL_MB), await flood(SMALL_MB));
  const large = await flood(FLOOD_MB, { wait: 600 });
  const growth = Math.round(large - small);
  const peaks = `${SMALL_MB} MB: ${Math.round(small)} MB, ${FLOOD_MB} MB: ${Math.round(large)} MB`;
  console.log(`a worker at its peak, by what an agent prints: ${peaks}; ${growth} MB more, of ${MAX_GROWTH_MB} MB`);
  expect(ends).toEqual(['COMPLETED', 'COMPLETED', 'OUTPUT_TOO_LARGE']);
  return growth;
}

/** The most memory that the process has had while the work was done, in MB. */
async function peakMemoryDuring({ pid }: ChildProcess, work: () => Promise<void>): Promise<number> {
  await writeFile(`/proc/${pid}/clear_refs`, RESET_PEAK);
  await work();
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / 1e6;
}
