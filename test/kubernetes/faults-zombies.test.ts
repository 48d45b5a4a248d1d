/** Two workers that both believe they own the pod of a build: the one that stood still changes nothing of its successor. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { openTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import {
  agentStarts,
  DEADLINE_MS,
  expectWholeOutput,
  type FaultRig,
  faultCase,
  gated,
  says,
  untilStill,
} from './fault-rig.ts';

/** What comes next would change something in the pod, or at the remote. */
const BEFORE_THE_AGENT = ['prepare.begin', 'prepare.cloned', 'agent.spawning'] as const;
const AFTER_IT = ['agent.ended', 'publish.intending'] as const;
/** Longer than an exec takes to begin. */
const SLOW_MS = 4_000;
/** Much longer than an exec takes, and shorter than the successor's lease when that stands still at its end. */
const HARM_MS = 5_000;

describe.skipIf(CLUSTER_PROBLEM).concurrent('a worker that stands still', { timeout: 300_000 }, () => {
  for (const point of [...BEFORE_THE_AGENT, ...AFTER_IT]) {
    test(
      `at ${point} and comes back changes nothing of its successor`,
      faultCase(`two workers, the first stopped at ${point}`, async (rig) => {
        // Its database is slow when it comes back: it is not told at once that it has been superseded.
        const databaseUrl = new URL(rig.stack.databaseUrl);
        await using proxy = await openTcpProxy(Number(databaseUrl.port));
        databaseUrl.port = String(proxy.port);
        const first = await rig.startWorker({
          SLIPWAY_FAILPOINTS: `${point}=pause`,
          SLIPWAY_DATABASE_URL: databaseUrl.href,
        });
        const build = await rig.start(await rig.openProject(), gated());
        const isBefore = BEFORE_THE_AGENT.some((name) => name === point);
        if (!isBefore) {
          await rig.happened(build, 'the agent', says('begin'));
          await rig.openGate(build);
        }
        await untilStill(first);
        // At what it writes last, so that the first is back before the end.
        const second = await rig.startWorker({ SLIPWAY_FAILPOINTS: 'finish.begin=pause' });
        if (isBefore) await rig.happened(build, 'the agent of the second', says('begin'));
        else await untilStill(second);
        proxy.disturb({ kind: 'delay', ms: SLOW_MS });
        await comeBack(first);
        proxy.disturb(null);
        if (isBefore) await rig.openGate(build);
        await untilStill(second);
        second.kill('SIGCONT');
        expect(await rig.finished(build)).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 2 });
        await expectOneOfEach(rig, build);
        await rig.noPodIsLeft();
        return 'COMPLETED, attempt 2, 1 pod, 1 agent, 1 commit';
      }),
    );
  }

  test(
    'while the agent prints, and comes back, takes nothing from its successor',
    faultCase('two workers, the first stopped in AGENT', async (rig) => {
      const first = await rig.startWorker();
      const build = await rig.start(await rig.openProject(), gated());
      await rig.happened(build, 'the agent', says('begin'));
      first.kill('SIGSTOP');
      await rig.startWorker();
      const isTaken = async () => (await rig.find(build)).attemptNo === 2;
      await waitFor(isTaken, { deadlineMs: DEADLINE_MS, everyMs: 50, what: 'the second attempt' });
      await comeBack(first);
      await rig.openGate(build);
      expect(await rig.finished(build)).toMatchObject({ status: 'COMPLETED', failure: null, attemptNo: 2 });
      await expectOneOfEach(rig, build);
      const ticks = await expectWholeOutput(rig, build);
      await rig.noPodIsLeft();
      return `COMPLETED, attempt 2, 1 pod, 1 agent, 1 commit, ${ticks} lines`;
    }),
  );
});

/** Resolves when it has had the time to do harm: there is nothing to wait for, because none must come. */
async function comeBack(worker: { kill(signal: 'SIGCONT'): boolean }): Promise<void> {
  worker.kill('SIGCONT');
  await delay(HARM_MS);
}

async function expectOneOfEach(rig: FaultRig, build: Build): Promise<void> {
  expect(await agentStarts(rig, build)).toBe(1);
  expect(await rig.podsMade(build)).toBe(1);
  expect(await rig.commits(build)).toBe(1);
  const events = await rig.events(build);
  const taken = events.findIndex(({ type, attemptNo }) => type === 'STARTED' && attemptNo === 2);
  expect(events.slice(taken).filter(({ attemptNo }) => attemptNo === 1)).toEqual([]);
}
