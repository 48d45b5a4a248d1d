/** The pod of a project that has been idle goes, but never under a build: workers side by side, with an API server in memory. */
import { v7 } from 'uuid';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import type { Places } from '../../../src/runtimes/kubernetes/places.ts';
import { PodCalls } from '../../../src/runtimes/kubernetes/pod-calls.ts';
import { LABELS, ownSelector, projectPodName, USED } from '../../../src/runtimes/kubernetes/pod-layout.ts';
import { openPodWatch } from '../../../src/runtimes/kubernetes/pod-watch.ts';
import { Pods } from '../../../src/runtimes/kubernetes/pods.ts';
import { openProjectPods } from '../../../src/runtimes/kubernetes/project-pods.ts';
import { packData } from '../../../src/std/pack-data.ts';
import { endExec, FAKE_NAMESPACE, type FakeKubeApi, openFakeKubeApi, sayExec } from '../../support/fake-kube-api.ts';
import { waitFor } from '../../support/wait-for.ts';
import { IMAGE, podSettings, RUNNING } from './pod-requests.ts';

let fake: FakeKubeApi;
let opened: AsyncDisposableStack;
/** What the pod says that is in it. */
let inside: { buildId: string; closed: boolean }[];

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  fake = opened.use(await openFakeKubeApi());
  inside = [];
  fake.exec = (socket) =>
    socket.once('message', () => {
      sayExec(socket, 1, packData({ builds: inside }));
      endExec(socket, 0);
    });
});

afterEach(() => opened.disposeAsync());

const projectId = v7();
const name = projectPodName(projectId);
const there = () => fake.pods.find(({ metadata }) => metadata.name === name)?.metadata;

interface TestWorker extends Places {
  readonly pods: Pods;
}

/** For which every pod has been idle for long enough when it looks a second time. */
async function openWorker(): Promise<TestWorker> {
  const api = opened.use(await openKubeApi({ kubeconfig: fake.kubeconfig }));
  const instance = 'test';
  const onError = console.error;
  const watches = fake.watches;
  const labelSelector = ownSelector(instance);
  const watch = opened.use(openPodWatch({ api, labelSelector, onError, currentMs: 60_000, listEveryMs: 60_000 }));
  const pods = new Pods({ api, watch, instance });
  await waitFor(() => fake.watches > watches, { what: 'its watch' });
  const places = openProjectPods({
    ...{ pods, watch, calls: new PodCalls(api), instance, image: IMAGE, toolsImage: 'docker.io/local/slipway:1' },
    ...{ startSeconds: 30, pod: podSettings(), onError, idleMs: 0 },
  });
  return { ...places, pods };
}

/** The uid of the pod, which is started as soon as it is there. */
async function ensure(worker: Places, buildId = v7()): Promise<string> {
  let isDone = false;
  const done = worker.ensure(buildId, { projectId, attemptNo: 2 }).finally(() => {
    isDone = true;
  });
  await waitFor(() => {
    if (fake.pods[0]?.status.phase === 'Pending') fake.put(name, RUNNING);
    return isDone;
  });
  return (await done).uid;
}

/** Until the worker has heard of the pod as it is now. */
const hears = (worker: TestWorker) =>
  waitFor(async () => {
    const [pod] = await worker.pods.labelled(LABELS.kind, 'project');
    return pod?.resourceVersion === there()?.resourceVersion;
  });

test('one pod is for all builds, stays while one of them is open, and goes when it has been idle', async () => {
  const worker = await openWorker();
  const uid = await ensure(worker);
  expect(await ensure(worker)).toBe(uid);
  expect(there()?.labels).not.toHaveProperty(LABELS.attempt);
  inside = [{ buildId: v7(), closed: false }];
  for (let round = 0; round < 3; round += 1) await worker.tend();
  expect(there()?.uid).toBe(uid);
  inside = [{ buildId: v7(), closed: true }];
  await worker.tend();
  expect(there()?.uid).toBe(uid);
  await worker.tend();
  expect(there()).toBeUndefined();
});

test('a build that marks the pod between the look at it and its removal keeps it', async () => {
  const [tending, building] = [await openWorker(), await openWorker()];
  const uid = await ensure(building);
  await hears(tending);
  await tending.tend();
  let deletions = 0;
  fake.answer = async (request) => {
    if (request.method !== 'DELETE') return false;
    deletions += 1;
    fake.answer = null;
    expect(await ensure(building)).toBe(uid);
    return false;
  };
  await tending.tend();
  expect(deletions).toBe(1);
  expect(there()?.uid).toBe(uid);
});

test('a build that has marked the pod and not yet opened its workspace keeps it', async () => {
  const [tending, building] = [await openWorker(), await openWorker()];
  const uid = await ensure(building);
  await hears(tending);
  await tending.tend();
  const buildId = v7();
  await ensure(building, buildId);
  expect(there()?.annotations).toMatchObject({ [USED]: expect.stringMatching(`Z ${buildId}$`) });
  await hears(tending);
  await tending.tend();
  expect(there()?.uid).toBe(uid);
  await tending.tend();
  expect(there()).toBeUndefined();
});

test.each(['ends', 'is gone'])('a pod that %s before it is marked is replaced', async (how) => {
  const worker = await openWorker();
  const uid = await ensure(worker);
  fake.answer = async (request) => {
    if (request.method !== 'PATCH') return false;
    fake.answer = null;
    const url = `http://127.0.0.1:${fake.port}/api/v1/namespaces/${FAKE_NAMESPACE}/pods/${name}`;
    const ending = { metadata: { deletionTimestamp: new Date().toISOString() } };
    if (how === 'ends') await fetch(url, { method: 'PATCH', body: JSON.stringify(ending) });
    else fake.remove(name);
    return false;
  };
  const next = await ensure(worker);
  expect(next).not.toBe(uid);
  expect(there()).toMatchObject({ uid: next, annotations: { [USED]: expect.any(String) } });
});
