/** An agent that floods: what it costs the worker that reads it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { script } from '../support/script.ts';
import { FLOOD_MB, MAX_GROWTH_MB, measureFlood } from '../support/worker-memory.ts';
import { type FaultRig, openFaultRig } from './fault-rig.ts';

/** The node may have little time for pods. */
const FLOOD_MS = 5 * 60_000;

describe.skipIf(CLUSTER_PROBLEM)('an agent that prints 300 MB', { timeout: 3 * FLOOD_MS }, () => {
  let rig: FaultRig;

  beforeAll(async () => {
    rig = await openFaultRig();
  }, 120_000);
  afterAll(() => rig?.[Symbol.asyncDispose](), 60_000);

  test('costs the worker less than 64 MB more than one that prints 30 MB', () =>
    rig.timed(`${FLOOD_MB} MB of output`, async () => {
      const worker = await rig.startWorker();
      const project = await rig.openProject();
      const growth = await measureFlood(worker, async (steps) => {
        const build = await rig.start(project, script(...steps));
        const { failure, status } = await rig.stack.finished(build.id, FLOOD_MS);
        return failure?.reason ?? status;
      });
      await rig.noPodIsLeft();
      expect(growth).toBeLessThan(MAX_GROWTH_MB);
      return `FAILED, OUTPUT_TOO_LARGE, the worker grew by ${growth} MB, of ${MAX_GROWTH_MB} MB`;
    }));
});
