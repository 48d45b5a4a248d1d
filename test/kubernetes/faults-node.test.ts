/**
 * The node of a build falls silent, for a while or for good. Only where the cluster is one of this machine, whose kubelet can
 * be stopped, and only where SLIPWAY_TEST_LONG is set: it takes minutes, and no other pod may be tested meanwhile.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { waitFor } from '../support/wait-for.ts';
import { agentStarts, expectWholeOutput, faultCase, gated, podOf, says } from './fault-rig.ts';

const SILENT_MS = 60_000;
/** A pod that does not start within 60 s, or is deleted, is forgotten when its node has not ended it after another 90 s. */
const GONE_MS = 6 * 60_000;
const KUBELET = findKubelet();
const PROBLEM =
  CLUSTER_PROBLEM ||
  (KUBELET === null ? 'its kubelet is not one of this machine.' : '') ||
  (process.env.SLIPWAY_TEST_LONG ? '' : 'SLIPWAY_TEST_LONG is not set.');
if (PROBLEM !== '') console.log(`Tests of a node that does not answer are skipped: ${PROBLEM}`);

describe.skipIf(PROBLEM)('a node that does not answer', { timeout: 900_000 }, () => {
  test(
    'for 60 s: the build goes on',
    faultCase('kubelet stopped for 60 s', async (rig) => {
      const worker = await rig.stack.openWorker(1);
      const build = await rig.start(await rig.openProject(), gated());
      await rig.happened(build, 'the agent', says('begin'));
      await whileStopped(() => delay(SILENT_MS));
      await rig.openGate(build);
      expect(await rig.finished(build)).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 1 });
      const ticks = await expectWholeOutput(rig, build);
      expect([await agentStarts(rig, build), await rig.podsMade(build), await rig.commits(build)]).toEqual([1, 1, 1]);
      await rig.slotIsFree(worker, build);
      await rig.noPodIsLeft();
      return `COMPLETED, attempt 1, ${ticks} lines once`;
    }),
  );

  test(
    'for good: a build that runs begins anew when there is a node, one that is to start says that there is none',
    faultCase('node gone', async (rig) => {
      const worker = await rig.stack.openWorker(2);
      const build = await rig.start(await rig.openProject(), gated());
      await rig.happened(build, 'the agent', says('begin'));
      const { lostAfter, late } = await whileStopped(async () => {
        const started = await rig.start(await rig.openProject(), gated());
        const late = await rig.stack.finished(started.id, GONE_MS);
        // What Kubernetes does 60 s after it has given a node up, if it still has others: with none it waits.
        await rig.cluster.kubectl(['delete', 'pod', podOf(build), '--wait=false']);
        const deletedAt = performance.now();
        const isLost = async () => (await rig.events(build)).some(({ type }) => type === 'RETRY_SCHEDULED');
        await waitFor(isLost, { deadlineMs: GONE_MS, everyMs: 1_000, what: 'the loss of the attempt' });
        const seconds = ((performance.now() - deletedAt) / 1000).toFixed(0);
        return { lostAfter: seconds, late };
      });
      expect(late).toMatchObject({ status: 'FAILED', failure: { reason: 'SANDBOX_FAILED' } });
      await rig.happened(build, 'the second agent', says('begin'), 2);
      await rig.openGate(build);
      expect(await rig.finished(build)).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 2 });
      expect([await rig.podsMade(build), await rig.commits(build)]).toEqual([2, 1]);
      await rig.slotIsFree(worker, build);
      await rig.noPodIsLeft();
      return `COMPLETED, attempt 2, 1 commit, lost ${lostAfter} s after its deletion; another: ${late.failure?.message}`;
    }),
  );
});

async function whileStopped<T>(wait: () => Promise<T>): Promise<T> {
  const pid = KUBELET ?? 0;
  process.kill(pid, 'SIGSTOP');
  try {
    return await wait();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** Its pid; null when it is not one of this machine. */
function findKubelet(): number | null {
  const home = process.env.KUBE_HOME ?? dirname(process.env.KUBECONFIG ?? '');
  try {
    const pid = Number(readFileSync(join(home, 'run', 'kubelet.pid'), 'utf8'));
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('kubelet') ? pid : null;
  } catch {
    return null;
  }
}
