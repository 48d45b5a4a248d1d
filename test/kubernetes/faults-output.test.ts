/** An agent that floods: what it costs the worker that reads it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { script } from '../support/script.ts';
import { peakMemoryDuring } from '../support/worker-memory.ts';
import { type FaultRig, openFaultRig, WRITE } from './fault-rig.ts';

const SMALL_MB = 30;
const OUTPUT_MB = 300;
const MAX_GROWTH_MB = 64;
/** The node may have little time for pods. */
const FLOOD_MS = 5 * 60_000;
const LINE = 'x'.repeat(199);

describe.skipIf(CLUSTER_PROBLEM)('an agent that prints 300 MB', { timeout: 3 * FLOOD_MS }, () => {
  let rig: FaultRig;

  beforeAll(async () => {
    rig = await openFaultRig();
  }, 120_000);
  afterAll(() => rig?.[Symbol.asyncDispose](), 60_000);

  test('costs the worker less than 64 MB more than one that prints 30 MB', () =>
    rig.timed(`${OUTPUT_MB} MB of output`, async () => {
      const worker = await rig.startWorker();
      const project = await rig.openProject();
      const ends: string[] = [];
      const flood = (megabytes: number, ...then: readonly object[]) =>
        peakMemoryDuring(worker, async () => {
          const print = { run: `yes ${LINE} | head -c ${megabytes * 1_000_000} >&2` };
          const build = await rig.start(project, script(print, WRITE, ...then));
          const { failure, status } = await rig.stack.finished(build.id, FLOOD_MS);
          ends.push(failure?.reason ?? status);
        });
      // What V8 keeps for objects that live for a moment is the same for any flood, once it has seen one.
      await flood(SMALL_MB);
      const small = await flood(SMALL_MB);
      const large = await flood(OUTPUT_MB, { wait: 600 });
      const growth = Math.round(large - small);
      const peaks = `${SMALL_MB} MB: ${Math.round(small)} MB, ${OUTPUT_MB} MB: ${Math.round(large)} MB`;
      console.log(`a worker at its peak, by what an agent prints: ${peaks}; ${growth} MB more, of ${MAX_GROWTH_MB} MB`);
      expect(ends).toEqual(['COMPLETED', 'COMPLETED', 'OUTPUT_TOO_LARGE']);
      await rig.noPodIsLeft();
      expect(growth).toBeLessThan(MAX_GROWTH_MB);
      return `FAILED, OUTPUT_TOO_LARGE, the worker grew by ${growth} MB, of ${MAX_GROWTH_MB} MB`;
    }));
});
