/** A build in a pod is cancelled, wherever it is: it is told so when its pod is gone, and nothing is left. */
import { describe, expect, test } from 'vitest';
import { CLUSTER_PROBLEM } from '../support/cluster.ts';
import { waitFor } from '../support/wait-for.ts';
import { DEADLINE_MS, faultCase, gated, podOf, says, untilStill } from './fault-rig.ts';

describe.skipIf(CLUSTER_PROBLEM).concurrent('a build that is cancelled', { timeout: 300_000 }, () => {
  test(
    'while no node takes its pod',
    faultCase('cancelled while no node takes the pod', async (rig) => {
      const worker = await rig.stack.openWorker(1);
      const build = await rig.start(await rig.openProject({ settings: { workspace: { cpu: '2' } } }), gated());
      await rig.happened(build, 'the warning', ({ type }) => type === 'WARNING');
      await rig.cancelled(build);
      await rig.slotIsFree(worker, build);
      await rig.noPodIsLeft();
      return 'CANCELLED, no pod';
    }),
  );

  test(
    'while its pod starts',
    faultCase('cancelled while the pod starts', async (rig) => {
      const worker = await rig.stack.openWorker(1);
      const build = await rig.start(await rig.openProject(), gated());
      const isThere = () => rig.cluster.kubectl(['get', 'pod', podOf(build), '--ignore-not-found', '-o', 'name']);
      await waitFor(isThere, { deadlineMs: DEADLINE_MS, everyMs: 50, what: 'the pod' });
      await rig.cancelled(build);
      await rig.slotIsFree(worker, build);
      await rig.noPodIsLeft();
      return 'CANCELLED, no pod';
    }),
  );

  test(
    'while git waits for the remote',
    faultCase('cancelled while git runs', async (rig) => {
      const worker = await rig.stack.openWorker(1);
      rig.git.mode = 'hang';
      const build = await rig.start(await rig.openProject(), gated());
      await waitFor(() => rig.git.requests.length > 0, { deadlineMs: DEADLINE_MS, what: 'git' });
      await rig.cancelled(build);
      await rig.slotIsFree(worker, build);
      await rig.noPodIsLeft();
      return 'CANCELLED, no pod';
    }),
  );

  test(
    'while its agent works',
    faultCase('cancelled while the agent works', async (rig) => {
      const worker = await rig.stack.openWorker(1);
      const build = await rig.start(await rig.openProject(), gated());
      await rig.happened(build, 'the agent', says('begin'));
      await rig.cancelled(build);
      await rig.slotIsFree(worker, build);
      expect(await rig.commits(build)).toBe(0);
      await rig.noPodIsLeft();
      return 'CANCELLED, no pod, no commit';
    }),
  );

  // What was pushed is not taken back: only a build that keeps its commit can still be cancelled then.
  test(
    'while its artifacts are collected',
    faultCase('cancelled while artifacts are collected', async (rig) => {
      const worker = await rig.startWorker({ SLIPWAY_FAILPOINTS: 'collect.begin=delay:6000@2' });
      const project = await rig.openProject({ settings: { artifacts: ['*.txt'] } });
      const build = await rig.start(project, gated(), { autoPush: false });
      await rig.happened(build, 'the agent', says('begin'));
      await rig.openGate(build);
      await rig.happened(build, 'the commit', ({ type }) => type === 'ARTIFACT_CREATED');
      await rig.cancelled(build);
      expect(worker.exitCode).toBeNull();
      expect(await rig.commits(build)).toBe(0);
      await rig.noPodIsLeft();
      return 'CANCELLED, no pod, no commit';
    }),
  );

  test(
    'while its worker is dead',
    faultCase('cancelled while the worker is dead', async (rig) => {
      const first = await rig.startWorker({ SLIPWAY_FAILPOINTS: 'agent.spawned=kill' });
      const build = await rig.start(await rig.openProject(), gated());
      await untilStill(first);
      await rig.startWorker();
      await rig.cancelled(build);
      await rig.noPodIsLeft();
      return 'CANCELLED, no pod';
    }),
  );
});
