/**
 * From `startBuild` to the first word of the agent: on this machine, in a pod that was ready, and in a new one, by turns; and
 * how many builds in pods of their own a worker gets through. Printed, with where the time goes; measured alone, so only where
 * SLIPWAY_TEST_LONG is set.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { formatTable } from '../../src/cli/format.ts';
import { openKubeApi } from '../../src/runtimes/kubernetes/kube-api.ts';
import { LABELS } from '../../src/runtimes/kubernetes/pod-layout.ts';
import { isRunning } from '../../src/runtimes/kubernetes/pod-loss.ts';
import { openPodWatch } from '../../src/runtimes/kubernetes/pod-watch.ts';
import { AGENT_IMAGE, CLUSTER_PROBLEM, openTestNamespace } from '../support/cluster.ts';
import { openClusterStack } from '../support/cluster-stack.ts';
import { startGitServer } from '../support/git-server.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Bench, type BuildTimes, between, fillRepository, formatSteps, median, timeBuild } from './build-times.ts';

const DEADLINE_MS = 120_000;
const ROUNDS = 5;
const BUILDS = 16;
/** More pods of tests than this a node of two processors does not hold. */
const CAPACITY = 8;
const task = (content: string, deadlineMs = DEADLINE_MS) => ({
  prompt: script({ print: 'here' }, { write: { path: 'file', content } }),
  deadlineMs,
});

const PROBLEM = CLUSTER_PROBLEM || (process.env.SLIPWAY_TEST_LONG ? '' : 'SLIPWAY_TEST_LONG is not set.');
if (PROBLEM) console.log(`Times of builds are not measured: ${PROBLEM}`);

describe.skipIf(PROBLEM)('times', { timeout: 900_000 }, () => {
  async function onThisMachine(opened: AsyncDisposableStack): Promise<Bench> {
    const git = opened.use(await startGitServer());
    const stack = opened.use(await openTestStack());
    const project = await stack.createProject({ repositoryUrl: (await git.createRepository('project')).url });
    await stack.openWorker();
    return { stack, projectId: project.id, watch: null, ready: async () => {} };
  }

  async function inPods(opened: AsyncDisposableStack, { warm = 0, capacity = 2 }): Promise<Bench> {
    const cluster = opened.use(await openTestNamespace());
    const environment = {
      // Where other tests fill the node, builds wait.
      SLIPWAY_KUBERNETES_START_SECONDS: '300',
      SLIPWAY_KUBERNETES_WARM: warm > 0 ? `${AGENT_IMAGE}=${warm}` : '',
    };
    const { stack, git, fromPods } = opened.use(await openClusterStack(cluster, environment));
    const api = opened.use(await openKubeApi({ kubeconfig: cluster.kubeconfig, namespace: cluster.namespace }));
    const labelSelector = `${LABELS.managedBy}=slipway`;
    const watch = opened.use(openPodWatch({ api, labelSelector, onError: (error) => console.warn(error) }));
    const project = await stack.createProject({ repositoryUrl: fromPods((await git.createRepository('project')).url) });
    await stack.openWorker(capacity);
    // Pods that end disturb the next build of whatever kind.
    const isReady = () => {
      const waiting = watch.labelled(LABELS.kind, 'warm');
      return watch.labelled(LABELS.kind, 'build').length === 0 && waiting.length === warm && waiting.every(isRunning);
    };
    const ready = () => waitFor(isReady, { deadlineMs: DEADLINE_MS, what: 'warm pods, and no others' }).then(() => {});
    return { stack, projectId: project.id, watch, ready };
  }

  test('from the start of a build to the first word of its agent', async () => {
    await using opened = new AsyncDisposableStack();
    const benches = new Map([
      ['this machine', await onThisMachine(opened)],
      ['warm pod', await inPods(opened, { warm: 1 })],
      ['new pod', await inPods(opened, {})],
    ]);
    const kinds = new Map([...benches.keys()].map((name) => [name, [] as BuildTimes[]]));
    for (const bench of benches.values()) await fillRepository(bench, task('first'));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [name, bench] of benches) {
        for (const { ready } of benches.values()) await ready();
        kinds.get(name)?.push(await timeBuild(bench, task('x')));
      }
    }
    const rows = [...kinds].map(([name, all]) => [
      name,
      ...(['word', 'finished'] as const).map((to) => `${median(all.map((times) => between(times, 'asked', to)))} ms`),
    ]);
    console.log(`\n${formatTable([[`MEDIAN OF ${ROUNDS}`, 'FIRST WORD', 'END'], ...rows])}\n\n${formatSteps(kinds)}\n`);
    expect(rows.flat().join()).not.toContain('NaN');
  });

  test('builds in a minute', async () => {
    const opened = new AsyncDisposableStack();
    onTestFinished(() => opened.disposeAsync());
    const bench = await inPods(opened, { capacity: CAPACITY });
    await fillRepository(bench, task('first'));
    await bench.ready();
    const all = await Promise.all(Array.from({ length: BUILDS }, () => timeBuild(bench, task('x', 5 * DEADLINE_MS))));
    const from = Math.min(...all.map(({ claimed = Number.NaN }) => claimed));
    const perMinute = (moment: 'running' | 'gone') => {
      const until = Math.max(...all.map((times) => times[moment] ?? Number.NaN));
      return ((BUILDS / (until - from)) * 60_000).toFixed(1);
    };
    console.log(
      `\n${BUILDS} builds, ${CAPACITY} at a time: ${perMinute('running')} pods a minute started, ` +
        `${perMinute('gone')} done with\n\n${formatSteps(new Map([['one of many', all]]))}\n`,
    );
    expect(all.every(({ gone }) => gone !== undefined)).toBe(true);
  });
});
