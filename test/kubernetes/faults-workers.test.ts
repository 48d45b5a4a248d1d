/** Workers that die while their builds are in pods: another one goes on in the same pod. */
import { describe, expect, test } from 'vitest';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { waitFor } from '../support/wait-for.ts';
import {
  agentStarts,
  DEADLINE_MS,
  expectWholeOutput,
  faultCase,
  gated,
  kill,
  podOf,
  says,
  untilStill,
} from './fault-rig.ts';

/** A point of each phase; before the first there is a pod. */
const BEFORE_THE_AGENT = ['prepare.begin', 'prepare.cloned', 'agent.begin', 'agent.spawned'] as const;
const AFTER_IT = [
  'agent.ended',
  'publish.committed',
  'publish.intended',
  'publish.pushed',
  'publish.recorded',
  'collect.begin',
  'collect.stored',
  'collect.recorded',
  'finish.begin',
] as const;
/** The end is told: what is left is nobody's but who looks after what is left. */
const AFTER_THE_END = ['finish.committed'] as const;

describe.skipIf(CLUSTER_PROBLEM).concurrent('a worker of builds in pods', { timeout: 300_000 }, () => {
  for (const point of [...BEFORE_THE_AGENT, ...AFTER_IT, ...AFTER_THE_END]) {
    const attemptNo = AFTER_THE_END.some((name) => name === point) ? 1 : 2;
    test(
      `that is killed at ${point} is followed by another in the same pod, and the agent runs once`,
      faultCase(`worker killed at ${point}`, async (rig) => {
        const first = await rig.startWorker({ SLIPWAY_FAILPOINTS: `${point}=kill` });
        const build = await rig.start(await rig.openProject({ settings: { artifacts: ['*.txt'] } }), gated());
        const isBefore = BEFORE_THE_AGENT.some((name) => name === point);
        if (isBefore) {
          await untilStill(first);
          await rig.startWorker();
        }
        await rig.happened(build, 'the agent', says('begin'));
        await rig.openGate(build);
        if (!isBefore) {
          await untilStill(first);
          await rig.startWorker();
        }
        const { status, failure, result, ...ended } = await rig.finished(build);
        expect({ status, failure, attemptNo: ended.attemptNo }).toEqual({
          status: 'COMPLETED',
          failure: null,
          attemptNo,
        });
        expect(await agentStarts(rig, build)).toBe(1);
        expect(await rig.podsMade(build)).toBe(1);
        expect(await rig.commits(build)).toBe(1);
        expect(result?.artifacts.map(({ name }) => name)).toEqual([`${build.id}.txt`]);
        const ticks = await expectWholeOutput(rig, build);
        await rig.noPodIsLeft();
        return `COMPLETED, attempt ${attemptNo}, 1 pod, 1 agent, 1 commit, 1 artifact, ${ticks} lines`;
      }),
    );
  }

  test(
    'that is killed while the pod starts is followed by another in the same pod',
    faultCase('worker killed while the pod starts', async (rig) => {
      const first = await rig.startWorker();
      const build = await rig.start(await rig.openProject(), gated());
      const isThere = () => rig.cluster.kubectl(['get', 'pod', podOf(build), '--ignore-not-found', '-o', 'name']);
      await waitFor(isThere, { deadlineMs: DEADLINE_MS, everyMs: 50, what: 'the pod' });
      await kill(first);
      await rig.startWorker();
      await rig.happened(build, 'the agent', says('begin'));
      await rig.openGate(build);
      expect(await rig.finished(build)).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
      expect(await rig.podsMade(build)).toBe(1);
      expect(await rig.commits(build)).toBe(1);
      await rig.noPodIsLeft();
      return 'COMPLETED, attempt 2, 1 pod, 1 commit';
    }),
  );
});
