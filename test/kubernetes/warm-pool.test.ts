/** Warm pods of a real cluster: what they save, and that each is given away once. */
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KubernetesRuntime, openKubernetesRuntime } from '../../src/runtimes/kubernetes/kubernetes.ts';
import { AGENT_IMAGE, CLUSTER_PROBLEM, openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { runtimeOptions } from '../support/kubernetes-runtime.ts';
import { waitFor } from '../support/wait-for.ts';

const ROUNDS = 3;
const MINUTES = { timeout: 5 * 60_000 };

interface PodJson {
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: { readonly activeDeadlineSeconds: number };
  readonly status: { readonly containerStatuses?: readonly { readonly ready: boolean }[] };
}

describe.skipIf(CLUSTER_PROBLEM)('warm pods', () => {
  let cluster: TestNamespace;
  beforeAll(async () => {
    cluster = await openTestNamespace();
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  const openWorker = (instance: string, count: number) => {
    const warm = count === 0 ? [] : [{ image: AGENT_IMAGE, count }];
    return openKubernetesRuntime(runtimeOptions(cluster, { instance, warm }));
  };

  async function podsOf(selector: string): Promise<PodJson[]> {
    const list = JSON.parse(await cluster.kubectl(['get', 'pods', '-l', selector, '-o', 'json'])) as {
      items: PodJson[];
    };
    return list.items;
  }

  const isReady = ({ status }: PodJson) => status.containerStatuses?.every(({ ready }) => ready) === true;

  async function warmUp(runtime: KubernetesRuntime, instance: string, count: number): Promise<void> {
    const areReady = async () => {
      await runtime.tend();
      const pods = await podsOf(`slipway.dev/component=warm,slipway.dev/instance=${instance}`);
      return pods.filter(isReady).length === count;
    };
    await waitFor(areReady, { deadlineMs: 120_000, everyMs: 250, what: 'warm pods' });
  }

  /** Milliseconds until the first command in the workspace has answered. */
  async function measure(runtime: KubernetesRuntime, buildId: string): Promise<number> {
    const began = performance.now();
    const workspace = await runtime.open(buildId, { projectId: v7(), attemptNo: 1, maxSeconds: 600 });
    const argv = ['git', '--version'] as const;
    const { stdout } = await workspace.exec({ argv, cwd: workspace.paths.root, env: {}, timeoutMs: 30_000 });
    const milliseconds = performance.now() - began;
    expect(stdout.toString()).toMatch(/^git version/);
    return milliseconds;
  }

  async function measureAll(runtime: KubernetesRuntime, prepare: () => Promise<void>): Promise<number[]> {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await prepare();
      const buildId = v7();
      times.push(await measure(runtime, buildId));
      await runtime.close(buildId, { keepHome: false });
      expect(await podsOf(`slipway.dev/build=${buildId}`)).toEqual([]);
    }
    return times.toSorted((one, other) => one - other);
  }

  it('are there at once, where cold ones have to start', MINUTES, async () => {
    await using cold = await openWorker('cold', 0);
    const coldTimes = await measureAll(cold, async () => {});
    await using warm = await openWorker('warm', 1);
    const warmTimes = await measureAll(warm, () => warmUp(warm, 'warm', 1));
    const line = (times: number[]) =>
      `median ${times[ROUNDS >> 1]?.toFixed(0)} ms (${times.map((time) => time.toFixed(0)).join(', ')})`;
    console.log(`from open() to the answer of the first command: cold ${line(coldTimes)}, warm ${line(warmTimes)}`);
    expect(warmTimes[ROUNDS >> 1]).toBeLessThan(coldTimes[ROUNDS >> 1] ?? 0);
  });

  it('are given to one of two workers each, become the pod of that build, and are replaced', MINUTES, async () => {
    await using one = await openWorker('shared', 1);
    await using other = await openWorker('shared', 1);
    await warmUp(one, 'shared', 1);
    const [warm] = await podsOf('slipway.dev/component=warm,slipway.dev/instance=shared');
    const builds = [v7(), v7()] as const;
    await Promise.all([measure(one, builds[0]), measure(other, builds[1])]);
    const pods = (await Promise.all(builds.map((buildId) => podsOf(`slipway.dev/build=${buildId}`)))).flat();
    expect(pods).toHaveLength(2);
    const claimed = pods.filter(({ metadata }) => metadata.name === warm?.metadata.name);
    expect(claimed).toHaveLength(1);
    expect(claimed[0]?.metadata.labels).toMatchObject({
      ...{ 'slipway.dev/component': 'build', 'slipway.dev/attempt': '1', 'slipway.dev/network': 'all' },
    });
    expect(warm?.spec.activeDeadlineSeconds).toBe(4 * 86_400);
    expect(claimed[0]?.spec.activeDeadlineSeconds).toBeLessThan(1200);
    await warmUp(other, 'shared', 1);
    await Promise.all(builds.map((buildId) => one.close(buildId, { keepHome: false })));
    expect(await one.list()).toEqual([]);
  });
});
