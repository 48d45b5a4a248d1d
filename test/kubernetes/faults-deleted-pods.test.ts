/** Somebody deletes the pod of a build, in each phase: the next attempt begins anew, unless a commit is on its way. */
import { describe, expect, test } from 'vitest';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { agentStarts, faultCase, gated, says, untilStill } from './fault-rig.ts';

/** How often the agent runs in all, and in how many attempts. */
const CASES = [
  { phase: 'PREPARING', point: 'prepare.cloned', agents: 1, attempts: 2 },
  { phase: 'AGENT', point: 'agent.ended', agents: 2, attempts: 2 },
  { phase: 'VERIFYING', point: 'publish.committed', agents: 2, attempts: 2 },
  { phase: 'PUBLISHING, before the push', point: 'publish.intended', agents: 1, attempts: 2 },
  { phase: 'PUBLISHING, after the push', point: 'publish.pushed', agents: 1, attempts: 2 },
  { phase: 'COLLECTING, before the artifact is found', point: 'publish.recorded', agents: 1, attempts: 1 },
  { phase: 'COLLECTING, before the artifact is read', point: 'collect.begin', agents: 1, attempts: 1 },
  { phase: 'COLLECTING, with the artifact kept', point: 'collect.recorded', agents: 1, attempts: 1 },
  { phase: 'the end', point: 'finish.begin', agents: 1, attempts: 1 },
] as const;

describe.skipIf(CLUSTER_PROBLEM).concurrent('a pod that is deleted', { timeout: 300_000 }, () => {
  for (const { phase, point, agents, attempts } of CASES) {
    test(
      `in ${phase} (${point}): agents: ${agents}, attempts: ${attempts}, commits: 1`,
      faultCase(`pod deleted in ${phase} (${point})`, async (rig) => {
        const worker = await rig.startWorker({ SLIPWAY_FAILPOINTS: `${point}=pause` });
        const project = await rig.openProject({ settings: { artifacts: ['*.txt'] } });
        const build = await rig.start(project, gated());
        const runAgent = async (count: number) => {
          await rig.happened(build, `agent ${count}`, says('begin'), count);
          await rig.openGate(build);
        };
        if (phase !== 'PREPARING') await runAgent(1);
        await untilStill(worker);
        await rig.deletePod(build);
        worker.kill('SIGCONT');
        if (phase === 'PREPARING') await runAgent(1);
        if (agents === 2) await runAgent(2);
        const { status, failure, attemptNo } = await rig.finished(build);
        expect({ status, failure, attemptNo }).toEqual({ status: 'COMPLETED', failure: null, attemptNo: attempts });
        expect(await agentStarts(rig, build)).toBe(agents);
        expect(await rig.commits(build)).toBe(1);
        await rig.noPodIsLeft();
        return `COMPLETED, attempt ${attemptNo}, agents: ${agents}, commits: 1`;
      }),
    );
  }
});
