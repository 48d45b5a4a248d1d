/** Which pod a build gets, and who keeps some warm: workers side by side, with an API server in memory. */
import { v7 } from 'uuid';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openBuildPods } from '../../../src/runtimes/kubernetes/build-pods.ts';
import { openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import type { Places } from '../../../src/runtimes/kubernetes/places.ts';
import { PodCalls } from '../../../src/runtimes/kubernetes/pod-calls.ts';
import { LABELS, ownSelector } from '../../../src/runtimes/kubernetes/pod-layout.ts';
import { podSpec } from '../../../src/runtimes/kubernetes/pod-spec.ts';
import { openPodWatch, type PodWatchOptions } from '../../../src/runtimes/kubernetes/pod-watch.ts';
import { Pods } from '../../../src/runtimes/kubernetes/pods.ts';
import { openSandboxPods } from '../../../src/runtimes/kubernetes/sandbox-pods.ts';
import { openWarmPods, type WarmPodsOptions } from '../../../src/runtimes/kubernetes/warm-pods.ts';
import type { WorkspaceNeeds } from '../../../src/runtimes/runtime.ts';
import { type FakeKubeApi, type FakePod, openFakeKubeApi } from '../../support/fake-kube-api.ts';
import { waitFor } from '../../support/wait-for.ts';
import { IMAGE, podRequest, podSettings, RUNNING } from './pod-requests.ts';

let fake: FakeKubeApi;
let opened: AsyncDisposableStack;
let errors: unknown[];

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  fake = opened.use(await openFakeKubeApi());
  errors = [];
});

afterEach(() => opened.disposeAsync());

const SETTINGS = podSettings({ deadlineSeconds: 3600 });
const KEPT = { keepHome: false };

interface TestWorker extends Places {
  readonly pods: Pods;
}

/** What it hears of the cluster comes by its watch; it never waits for the others without need. */
async function openWorker(
  options: Partial<Pick<WarmPodsOptions, 'warm' | 'pauseMs' | 'provenMs'> & Pick<PodWatchOptions, 'currentMs'>> = {},
): Promise<TestWorker> {
  const { currentMs = 60_000, ...rest } = options;
  const api = opened.use(await openKubeApi({ kubeconfig: fake.kubeconfig }));
  const instance = 'test';
  const labelSelector = ownSelector(instance);
  const onError = (error: unknown) => errors.push(error);
  const watching = { api, labelSelector, onError, currentMs, listEveryMs: 60_000 };
  const watches = fake.watches;
  const watch = opened.use(openPodWatch(watching));
  const pods = new Pods({ api, watch, instance });
  const context = {
    ...{
      pods,
      watch,
      calls: new PodCalls(api),
      instance,
      image: IMAGE,
      toolsImage: 'docker.io/local/slipway:1',
    },
    ...{ startSeconds: 30, pod: SETTINGS, onError, warm: [], jitterMs: 0, ...rest },
  };
  const warm = opened.use(openWarmPods(context));
  await waitFor(() => fake.watches > watches, { what: 'its watch' });
  const sandboxes = await openSandboxPods({ api, watch, instance, use: 'false', onError });
  return { ...openBuildPods({ ...context, warm, sandboxes }), pods };
}

const kindOf = ({ metadata }: FakePod) => metadata.labels[LABELS.kind];
const warmPods = () => fake.pods.filter((pod) => kindOf(pod) === 'warm');
const podsOf = (buildId: string) => fake.pods.filter(({ metadata }) => metadata.labels[LABELS.build] === buildId);
const count = (start: string) => fake.requests.filter((request) => request.startsWith(start)).length;
const created = () => count('POST');

/** As the kubelet does: everything that waits runs. */
function startPods(): void {
  for (const { metadata, status } of fake.pods) if (status.phase === 'Pending') fake.put(metadata.name, RUNNING);
}

/** So many warm pods, running. */
async function warmUp(worker: TestWorker, wanted: number): Promise<void> {
  await worker.tend();
  expect(warmPods()).toHaveLength(wanted);
  startPods();
  await waitFor(async () => (await worker.pods.labelled(LABELS.kind, 'warm')).every((pod) => pod.phase === 'Running'));
}

/** The name of the pod; a cold one is started as soon as it is there. */
async function ensure(worker: TestWorker, buildId: string, needs: WorkspaceNeeds = {}): Promise<string> {
  const ensuring = worker.ensure(buildId, { projectId: v7(), attemptNo: 1, ...needs });
  let isDone = false;
  const done = ensuring.finally(() => {
    isDone = true;
  });
  await waitFor(() => {
    for (const pod of podsOf(buildId)) if (pod.status.phase === 'Pending') fake.put(pod.metadata.name, RUNNING);
    return isDone;
  });
  return (await done).name;
}

describe('a warm pod', () => {
  test('is the first build’s that wants one like it, is found by that, and is replaced at once', async () => {
    const worker = await openWorker({ warm: [{ image: IMAGE, count: 1 }] });
    await warmUp(worker, 1);
    const [warm] = warmPods();
    expect(warm?.spec.activeDeadlineSeconds).toBe(7200);
    expect(warm?.metadata.labels[LABELS.network]).toBe('none');
    const buildId = v7();
    const projectId = v7();
    const name = await ensure(worker, buildId, { projectId, attemptNo: 3, maxSeconds: 600 });
    expect(name).toBe(warm?.metadata.name);
    expect(name).toMatch(/^slipway-warm-[0-9a-f]{10}$/);
    const [pod] = podsOf(buildId);
    expect(pod?.metadata.labels).toMatchObject({
      ...{ [LABELS.kind]: 'build', [LABELS.build]: buildId, [LABELS.project]: projectId },
      ...{ [LABELS.attempt]: '3', [LABELS.network]: 'all', [LABELS.instance]: 'test' },
    });
    expect(pod?.spec.activeDeadlineSeconds).toBeGreaterThanOrEqual(600);
    expect(pod?.spec.activeDeadlineSeconds).toBeLessThan(1200);
    expect((await worker.find(buildId))?.name).toBe(name);
    expect(await worker.list()).toEqual([{ buildId, closed: false }]);
    await waitFor(() => warmPods().length === 1, { what: 'another one' });
    await worker.leave(buildId, KEPT);
    expect(podsOf(buildId)).toEqual([]);
    expect(await worker.list()).toEqual([]);
    expect(await worker.find(buildId)).toBeNull();
    expect(errors).toEqual([]);
  });

  test('goes to one of two workers that want it at the same moment; the other makes a cold one', async () => {
    const workers = await Promise.all([openWorker({ warm: [{ image: IMAGE, count: 1 }] }), openWorker()]);
    await warmUp(workers[0], 1);
    await waitFor(async () => (await workers[1].pods.labelled(LABELS.kind, 'warm'))[0]?.phase === 'Running');
    const builds = [v7(), v7()] as const;
    const names = await Promise.all([ensure(workers[0], builds[0]), ensure(workers[1], builds[1])]);
    expect(names.filter((name) => name.startsWith('slipway-warm-'))).toHaveLength(1);
    expect(new Set(names).size).toBe(2);
    for (const buildId of builds) expect(podsOf(buildId)).toHaveLength(1);
    expect(count('PATCH')).toBe(2);
    expect(errors).toEqual([]);
  });

  test('that has changed since it was seen is claimed all the same while it is nobody’s', async () => {
    const worker = await openWorker({ warm: [{ image: IMAGE, count: 1 }] });
    await warmUp(worker, 1);
    const warm = warmPods()[0]?.metadata.name ?? '';
    fake.put(warm, { podIP: '10.0.0.7' }, { quietly: true });
    expect(await ensure(worker, v7())).toBe(warm);
    expect(count('PATCH')).toBe(2);
  });

  test('whose claim has come through without an answer is the build’s', async () => {
    const worker = await openWorker({ warm: [{ image: IMAGE, count: 2 }] });
    await warmUp(worker, 2);
    fake.answer = async (request, response) => {
      if (request.method !== 'PATCH') return false;
      fake.answer = null;
      const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>));
      await fetch(`http://127.0.0.1:${fake.port}${request.url}`, { method: 'PATCH', body });
      response.socket?.destroy();
      return true;
    };
    const buildId = v7();
    const name = await ensure(worker, buildId);
    expect(podsOf(buildId).map(({ metadata }) => metadata.name)).toEqual([name]);
    expect(count('PATCH')).toBe(2);
  });

  test('is not given to a build that wants another one, nor before it runs', async () => {
    const worker = await openWorker({ warm: [{ image: IMAGE, count: 1 }] });
    await warmUp(worker, 1);
    for (const needs of [{ image: 'docker.io/local/other:1' }, { memory: '7Gi' }, { cpu: '3' }, { storage: '9Gi' }]) {
      const buildId = v7();
      expect(await ensure(worker, buildId, needs)).toBe(`slipway-${buildId}`);
    }
    expect(count('PATCH')).toBe(0);
    const first = await ensure(worker, v7());
    await waitFor(() => warmPods().length === 1);
    expect(first).toMatch(/^slipway-warm-/);
    const buildId = v7();
    expect(await ensure(worker, buildId)).toBe(`slipway-${buildId}`);
  });
});

describe('as many as there should be', () => {
  test('are kept by workers side by side: what is too many or has ended goes, what is missing comes', async () => {
    const warm = [
      { image: IMAGE, count: 3 },
      { image: 'docker.io/local/other:1', count: 1 },
    ];
    const options = { warm, pauseMs: 10, provenMs: 0 };
    const workers = await Promise.all([openWorker(options), openWorker(options), openWorker(options)]);
    const names = () => warmPods().map(({ metadata }) => metadata.name);
    const become = (isRight: () => boolean) =>
      waitFor(async () => {
        startPods();
        await Promise.all(workers.map((worker) => worker.tend()));
        return isRight();
      });
    await become(() => names().length === 4);
    const [ended = '', deleted = ''] = names();
    fake.put(ended, { phase: 'Failed', reason: 'Evicted' });
    fake.remove(deleted);
    await become(() => names().length === 4 && !names().includes(ended));
    expect(created()).toBeLessThanOrEqual(30);
    const fewer = await openWorker({ warm: [{ image: IMAGE, count: 1 }] });
    const isTrimmed = async () => {
      await fewer.tend();
      return warmPods().filter(({ spec }) => JSON.stringify(spec).includes(`"${IMAGE}"`)).length === 1;
    };
    await waitFor(isTrimmed);
  });

  test('a pod that a build has claimed meanwhile is not removed as one too many', async () => {
    const many = await openWorker({ warm: [{ image: IMAGE, count: 2 }] });
    await warmUp(many, 2);
    const few = await openWorker({ warm: [{ image: IMAGE, count: 1 }] });
    const taker = await openWorker();
    const builds: string[] = [];
    fake.answer = async (request) => {
      if (request.method !== 'DELETE') return false;
      fake.answer = null;
      // Both are taken before the request is looked at.
      for (const buildId of [v7(), v7()]) {
        await ensure(taker, buildId);
        builds.push(buildId);
      }
      return false;
    };
    await few.tend();
    expect(builds).toHaveLength(2);
    for (const buildId of builds) expect(podsOf(buildId)[0]?.metadata.name).toMatch(/^slipway-warm-/);
    expect(count('DELETE')).toBe(1);
    expect(errors).toEqual([]);
  });

  const failStart = () => {
    const waiting = {
      reason: 'ErrImageNeverPull',
      message: 'Container image is not present with pull policy of Never',
    };
    for (const { metadata } of warmPods()) {
      fake.put(metadata.name, { containerStatuses: [{ name: 'agent', state: { waiting } }] });
    }
  };

  test('an image that does not start is left alone for a while, and its reason is told once', async () => {
    const other = 'docker.io/local/other:1';
    const worker = await openWorker({ warm: [{ image: IMAGE, count: 2 }], pauseMs: 60_000 });
    await worker.tend();
    failStart();
    await waitFor(async () => (await worker.pods.labelled(LABELS.kind, 'warm')).every((pod) => pod.containers[0]));
    for (let round = 0; round < 5; round += 1) await worker.tend();
    expect(warmPods()).toEqual([]);
    expect(created()).toBe(2);
    expect(errors.map(String)).toEqual([
      expect.stringMatching(/No pod is kept warm for docker.io\/local\/agent:1.*ErrImageNeverPull.*not present/),
    ]);
    const others = await openWorker({ warm: [{ image: other, count: 1 }] });
    await others.tend();
    expect(warmPods()).toHaveLength(1);
  });

  test('it is tried again with a single pod, and with all of them when that one runs', async () => {
    const worker = await openWorker({ warm: [{ image: IMAGE, count: 3 }], pauseMs: 20, provenMs: 0 });
    const know = (containers: number) =>
      waitFor(async () => {
        const known = await worker.pods.labelled(LABELS.kind, 'warm');
        return known.every((pod) => pod.containers.length === containers);
      });
    const tendUntil = (total: number) =>
      waitFor(async () => {
        await worker.tend();
        return created() === total;
      });
    await worker.tend();
    for (let failures = 1; failures <= 2; failures += 1) {
      failStart();
      await know(1);
      await tendUntil(3 + failures);
      expect(warmPods()).toHaveLength(1);
    }
    expect(errors).toHaveLength(1);
    const until = performance.now() + 100;
    await waitFor(async () => {
      await worker.tend();
      return performance.now() > until;
    });
    expect(created()).toBe(5);
    startPods();
    await know(2);
    await tendUntil(7);
    expect(warmPods()).toHaveLength(3);
  });

  test('a quota that leaves no room is told once, and is no hurry', async () => {
    fake.answer = (request, response) => {
      if (request.method !== 'POST') return false;
      const message = 'pods "slipway-warm-1" is forbidden: exceeded quota: builds';
      response.writeHead(403, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ kind: 'Status', status: 'Failure', code: 403, reason: 'Forbidden', message }));
      return true;
    };
    const worker = await openWorker({ warm: [{ image: IMAGE, count: 3 }] });
    for (let round = 0; round < 5; round += 1) await worker.tend();
    expect(created()).toBe(1);
    expect(errors.map(String)).toEqual([expect.stringContaining('exceeded quota')]);
  });
});

describe('the pod of a build', () => {
  test('is one: what a later attempt opens is what an earlier one has left', async () => {
    const workers = await Promise.all([openWorker({ warm: [{ image: IMAGE, count: 1 }] }), openWorker()]);
    await warmUp(workers[0], 1);
    const [warm, cold] = [v7(), v7()];
    const first = await ensure(workers[0], warm);
    await ensure(workers[0], cold, { image: 'docker.io/local/other:1' });
    await waitFor(async () => (await workers[1].list()).length === 2);
    for (const [buildId, name] of [
      [warm, first],
      [cold, `slipway-${cold}`],
    ] as const) {
      expect(await ensure(workers[1], buildId, { attemptNo: 2 })).toBe(name);
      expect(podsOf(buildId)[0]?.metadata.labels[LABELS.attempt]).toBe('2');
      // The earlier attempt has not heard of it, and takes nothing away.
      expect(await ensure(workers[0], buildId, { attemptNo: 1 })).toBe(name);
      expect(podsOf(buildId)[0]?.metadata.labels[LABELS.attempt]).toBe('2');
    }
  });

  test('that a later attempt has taken over is not removed by an earlier one, whatever that has heard', async () => {
    const buildId = v7();
    const first = await openWorker();
    const name = await ensure(first, buildId, { attemptNo: 1 });
    fake.put(name, {}, { quietly: true });
    await (await openWorker()).ensure(buildId, { projectId: v7(), attemptNo: 2 });
    await first.leave(buildId, { keepHome: false, attemptNo: 1 });
    expect(podsOf(buildId)).toHaveLength(1);
    await first.leave(buildId, { keepHome: false, attemptNo: 2 });
    expect(podsOf(buildId)).toEqual([]);
  });

  test('is that of the later attempt where two have made one; the other is removed', async () => {
    const worker = await openWorker();
    const buildId = v7();
    const make = async (name: string, attemptNo: number) => {
      await worker.pods.create(podSpec(podRequest({ name, buildId, attemptNo, instance: 'test' })));
      fake.put(name, RUNNING);
    };
    await make(`slipway-${buildId}`, 2);
    await make('slipway-warm-0123456789', 1);
    await make('slipway-warm-9876543210', 10);
    await worker.tend();
    expect(podsOf(buildId).map(({ metadata }) => metadata.name)).toEqual(['slipway-warm-9876543210']);
    await waitFor(async () => (await worker.pods.labelled(LABELS.build, buildId)).length === 1);
    expect((await worker.find(buildId))?.name).toBe('slipway-warm-9876543210');
  });

  test('that has ended is in the list until somebody removes it, and is replaced for a new attempt', async () => {
    const worker = await openWorker({ warm: [{ image: IMAGE, count: 1 }] });
    await warmUp(worker, 1);
    const buildId = v7();
    const name = await ensure(worker, buildId);
    fake.put(name, { phase: 'Failed', reason: 'Evicted', message: 'The node had condition: [MemoryPressure].' });
    await waitFor(async () => (await worker.find(buildId)) === null);
    expect(await worker.list()).toEqual([{ buildId, closed: false }]);
    await worker.tend();
    expect(podsOf(buildId)).toHaveLength(1);
    const next = await ensure(worker, buildId, { attemptNo: 2 });
    expect(next).not.toBe(name);
    expect(podsOf(buildId).map(({ metadata }) => metadata.name)).toEqual([next]);
  });

  test('is asked for by its label where the watch has told nothing for a while', async () => {
    const worker = await openWorker({ currentMs: -1 });
    const other = await openWorker({ warm: [{ image: IMAGE, count: 1 }] });
    await warmUp(other, 1);
    const buildId = v7();
    const name = await ensure(other, buildId);
    await waitFor(() => warmPods().length === 1, { what: 'another warm one' });
    const before = count('GET');
    expect((await worker.find(buildId))?.name).toBe(name);
    expect(fake.requests.at(-1)).toContain(encodeURIComponent(`${LABELS.build}=${buildId}`));
    expect(await worker.list()).toEqual([{ buildId, closed: false }]);
    expect(count('GET')).toBe(before + 2);
    await worker.leave(buildId, KEPT);
    expect(podsOf(buildId)).toEqual([]);
  });
});
