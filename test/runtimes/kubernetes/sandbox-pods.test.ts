/** Pods by way of Sandbox objects: with an API server in memory, and a controller that does what the real one does. */
import { v7 } from 'uuid';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openBuildPods } from '../../../src/runtimes/kubernetes/build-pods.ts';
import { openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import { type KubernetesRuntimeOptions, openKubernetesRuntime } from '../../../src/runtimes/kubernetes/kubernetes.ts';
import type { Places } from '../../../src/runtimes/kubernetes/places.ts';
import { PodCalls } from '../../../src/runtimes/kubernetes/pod-calls.ts';
import { LABELS, ownSelector } from '../../../src/runtimes/kubernetes/pod-layout.ts';
import { openPodWatch } from '../../../src/runtimes/kubernetes/pod-watch.ts';
import { Pods } from '../../../src/runtimes/kubernetes/pods.ts';
import { openSandboxPods, type SandboxUse } from '../../../src/runtimes/kubernetes/sandbox-pods.ts';
import { sandboxRef } from '../../../src/runtimes/kubernetes/sandbox-ref.ts';
import { openWarmPods } from '../../../src/runtimes/kubernetes/warm-pods.ts';
import type { WorkspaceNeeds } from '../../../src/runtimes/runtime.ts';
import { type FakeKubeApi, openFakeKubeApi, sendStatus } from '../../support/fake-kube-api.ts';
import { type FakeSandboxes, serveSandboxes } from '../../support/fake-sandboxes.ts';
import { waitFor } from '../../support/wait-for.ts';
import { IMAGE, podSettings, RUNNING } from './pod-requests.ts';

const KEPT = { keepHome: false };

let fake: FakeKubeApi;
let opened: AsyncDisposableStack;
let errors: unknown[];

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  fake = opened.use(await openFakeKubeApi());
  errors = [];
});

afterEach(() => opened.disposeAsync());

async function openWorker(use: SandboxUse, startSeconds = 30): Promise<Places & { readonly pods: Pods }> {
  const api = opened.use(await openKubeApi({ kubeconfig: fake.kubeconfig }));
  const instance = 'test';
  const labelSelector = ownSelector(instance);
  const onError = (error: unknown) => errors.push(error);
  const watches = fake.watches;
  const watch = opened.use(openPodWatch({ api, labelSelector, onError, currentMs: 60_000, listEveryMs: 60_000 }));
  const sandboxes = await openSandboxPods({ api, watch, instance, use, onError });
  const pods = new Pods({ api, watch, instance, sandboxes });
  const toolsImage = 'docker.io/local/slipway:1';
  const context = {
    ...{ pods, watch, calls: new PodCalls(api), instance, image: IMAGE, toolsImage, startSeconds },
    ...{ pod: podSettings({ labels: { team: 'a' } }), onError, warm: [] },
  };
  await waitFor(() => fake.watches > watches, { what: 'its watch' });
  return { ...openBuildPods({ ...context, warm: opened.use(openWarmPods(context)), sandboxes }), pods };
}

const podsOf = (buildId: string) => fake.pods.filter(({ metadata }) => metadata.labels[LABELS.build] === buildId);
const requested = (start: string) => fake.requests.filter((request) => request.startsWith(start)).length;

/** The uid of the pod. Controller and kubelet do their work meanwhile. */
async function ensure(worker: Places, needs: WorkspaceNeeds & { buildId: string }, sandboxes?: FakeSandboxes) {
  let isDone = false;
  const done = worker.ensure(needs.buildId, { projectId: v7(), attemptNo: 1, ...needs }).finally(() => {
    isDone = true;
  });
  await waitFor(async () => {
    await sandboxes?.control();
    for (const pod of podsOf(needs.buildId)) if (pod.status.phase === 'Pending') fake.put(pod.metadata.name, RUNNING);
    return isDone;
  });
  return (await done).uid;
}

describe('the definition', () => {
  test.each(['auto', 'false'] as const)('is not there: %s makes pods as ever', async (use) => {
    const worker = await openWorker(use);
    const buildId = v7();
    await ensure(worker, { buildId });
    await worker.leave(buildId, KEPT);
    expect(podsOf(buildId)).toEqual([]);
    expect(requested('GET /apis/agents.x-k8s.io')).toBe(use === 'auto' ? 1 : 0);
    expect(errors).toEqual([]);
  });

  test('is not there and must be: the runtime does not open, and says what to do', async () => {
    const options: KubernetesRuntimeOptions = {
      ...{ kubeconfig: fake.kubeconfig, instance: 'test', image: IMAGE, toolsImage: IMAGE, warm: [], startSeconds: 30 },
      ...{ pod: podSettings(), mode: 'pod', sandbox: 'true', onError: (error) => errors.push(error) },
    };
    const message = /SLIPWAY_KUBERNETES_SANDBOX is true, and .*install kubernetes-sigs\/agent-sandbox/;
    await expect(openKubernetesRuntime(options)).rejects.toThrow(message);
    await (await openKubernetesRuntime({ ...options, mode: 'exec' }))[Symbol.asyncDispose]();
  });

  test('is not there in a version that is known', async () => {
    serveSandboxes(fake, ['v9']);
    await expect(openWorker('true')).rejects.toThrow('v1beta1 or v1alpha1');
  });

  test('is there, and nobody asks for it', async () => {
    const sandboxes = serveSandboxes(fake);
    await ensure(await openWorker('false'), { buildId: v7() });
    expect(sandboxes.all).toEqual([]);
  });

  test('cannot be asked for yet: it is asked for when a build needs it', async () => {
    fake.answer = (_request, response) => sendStatus(response, 403, 'Forbidden', 'not yet');
    const opening = openWorker('true');
    await waitFor(() => errors.some((error) => String(error).includes('not yet')));
    const sandboxes = serveSandboxes(fake);
    await ensure(await opening, { buildId: v7() }, sandboxes);
    expect(sandboxes.all).toHaveLength(1);
  });
});

describe('the pod of a build', () => {
  test.each([['v1beta1', 'v1alpha1'], ['v1alpha1']])(
    'is made by the controller of %s, and goes with its Sandbox',
    async (...versions) => {
      const sandboxes = serveSandboxes(fake, versions);
      const worker = await openWorker('auto');
      const buildId = v7();
      await ensure(worker, { buildId, attemptNo: 2 }, sandboxes);
      const [sandbox] = sandboxes.all;
      const [pod] = podsOf(buildId);
      expect(sandbox?.metadata.name).toBe(`slipway-${buildId}`);
      expect(sandbox?.metadata.labels).toMatchObject({ [LABELS.build]: buildId, [LABELS.instance]: 'test' });
      expect(sandbox?.metadata.labels).not.toHaveProperty('team');
      expect(pod?.metadata.labels).toMatchObject({ team: 'a', [LABELS.attempt]: '2', [LABELS.network]: 'all' });
      expect(pod?.spec).toEqual(sandbox?.spec.podTemplate.spec);
      expect(requested(`POST /apis/agents.x-k8s.io/${versions[0]}/`)).toBe(1);
      expect((await worker.find(buildId))?.sandbox?.uid).toBe(sandbox?.metadata.uid);
      expect(await worker.list()).toEqual([{ buildId, closed: false }]);
      await worker.leave(buildId, KEPT);
      await sandboxes.control();
      expect([sandboxes.all, fake.pods, await worker.list()]).toEqual([[], [], []]);
    },
  );

  test('of a later attempt is the same one, and the controller does not take that back', async () => {
    const sandboxes = serveSandboxes(fake);
    const workers = [await openWorker('true'), await openWorker('true')] as const;
    const buildId = v7();
    const first = await ensure(workers[0], { buildId }, sandboxes);
    expect(await ensure(workers[1], { buildId, attemptNo: 2 }, sandboxes)).toBe(first);
    await sandboxes.control();
    expect(podsOf(buildId)[0]?.metadata.labels[LABELS.attempt]).toBe('2');
    expect(sandboxes.all).toHaveLength(1);
  });

  test('stays that of the latest of two attempts that take it over at once', async () => {
    const sandboxes = serveSandboxes(fake);
    const workers = [await openWorker('true'), await openWorker('true'), await openWorker('true')] as const;
    const buildId = v7();
    const first = await ensure(workers[0], { buildId }, sandboxes);
    const serve = fake.answer;
    fake.answer = async (request, response) => {
      if (request.method === 'PATCH') {
        // The second attempt has looked, and the third is faster.
        fake.answer = serve;
        expect(await ensure(workers[2], { buildId, attemptNo: 3 })).toBe(first);
      }
      return serve?.(request, response) ?? false;
    };
    expect(await ensure(workers[1], { buildId, attemptNo: 2 })).toBe(first);
    await sandboxes.control();
    expect(sandboxes.all[0]?.metadata.labels[LABELS.attempt]).toBe('3');
    expect(podsOf(buildId)[0]?.metadata.labels[LABELS.attempt]).toBe('3');
  });

  test('that has ended is replaced together with its Sandbox', async () => {
    const sandboxes = serveSandboxes(fake);
    const worker = await openWorker('true');
    const buildId = v7();
    const first = await ensure(worker, { buildId }, sandboxes);
    const [before] = sandboxes.all;
    fake.put(`slipway-${buildId}`, { phase: 'Failed', reason: 'Evicted' });
    expect(await ensure(worker, { buildId, attemptNo: 2 }, sandboxes)).not.toBe(first);
    expect(sandboxes.all.map(({ metadata }) => metadata.uid)).not.toEqual([before?.metadata.uid]);
    expect(podsOf(buildId)).toHaveLength(1);
  });

  test('is never that of an earlier attempt’s Sandbox without a pod; a later one’s Sandbox stays', async () => {
    const sandboxes = serveSandboxes(fake);
    const worker = await openWorker('true');
    const buildId = v7();
    const abandon = async (attemptNo: number, isMade: (uid: string) => boolean) => {
      const stop = new AbortController();
      const waiting = worker.ensure(buildId, { projectId: v7(), attemptNo, signal: stop.signal });
      const made = await waitFor(() => sandboxes.all.find(({ metadata }) => isMade(metadata.uid)));
      stop.abort();
      await expect(waiting).rejects.toThrow('aborted');
      return made;
    };
    const first = await abandon(1, () => true);
    const second = await abandon(2, (uid) => uid !== first.metadata.uid);
    expect(sandboxes.all).toEqual([second]);
    // Nothing is there but the Sandbox when it looks.
    const waiting = ensure(worker, { buildId, attemptNo: 1 });
    await waitFor(() => requested('POST /apis/agents.x-k8s.io') === 4);
    await sandboxes.control();
    await waiting;
    expect(podsOf(buildId)[0]?.metadata.labels[LABELS.attempt]).toBe('2');
    expect(sandboxes.all).toEqual([second]);
  });

  test('that the controller does not make is given up in its words, and so is the Sandbox', {
    timeout: 20_000,
  }, async () => {
    const sandboxes = serveSandboxes(fake);
    const worker = await openWorker('true', 1);
    const buildId = v7();
    const waits: string[] = [];
    const ensuring = worker.ensure(buildId, {
      projectId: v7(),
      attemptNo: 1,
      onWait: (message) => waits.push(message),
    });
    ensuring.catch(() => {});
    await waitFor(() => sandboxes.all.length === 1);
    sandboxes.refuse(`slipway-${buildId}`, 'pods is forbidden: exceeded quota: builds');
    await expect(ensuring).rejects.toThrow(/made no pod of the Sandbox .* within 1 s. Error seen: .*exceeded quota/);
    expect(waits).toEqual([expect.stringContaining('exceeded quota')]);
    expect(sandboxes.all).toEqual([]);
  });
});

test('a server that is away for a while is waited for', { timeout: 20_000 }, async () => {
  const sandboxes = serveSandboxes(fake);
  const worker = await openWorker('true');
  const serve = fake.answer;
  let refused = 0;
  fake.answer = (request, response) => {
    if (!request.url?.includes('/sandboxes/') || refused === 3) return serve?.(request, response) ?? false;
    refused += 1;
    return sendStatus(response, 503, 'ServiceUnavailable', 'away');
  };
  const buildId = v7();
  const ensuring = ensure(worker, { buildId });
  await waitFor(() => refused === 3);
  await sandboxes.control();
  await ensuring;
  expect(sandboxes.all).toHaveLength(1);
});

test('a server that has just started and does not know the definition yet is waited for', {
  timeout: 20_000,
}, async () => {
  const sandboxes = serveSandboxes(fake);
  const worker = await openWorker('true');
  const serve = fake.answer;
  fake.answer = (request, response) => {
    if (!request.url?.includes('sandboxes')) return false;
    fake.answer = serve;
    response.writeHead(404, { 'content-type': 'text/plain' });
    response.end('404 page not found\n');
    return true;
  };
  const buildId = v7();
  await ensure(worker, { buildId }, sandboxes);
  const [made] = sandboxes.all;
  fake.answer = (_request, response) => {
    fake.answer = serve;
    response.writeHead(404).end('404 page not found\n');
    return true;
  };
  await expect(worker.leave(buildId, KEPT)).rejects.toThrow('404 page not found');
  expect(sandboxes.all).toEqual([made]);
});

describe('what nobody owns', () => {
  test('a Sandbox without a pod is in the list, and is removed as a pod is', async () => {
    const sandboxes = serveSandboxes(fake);
    const worker = await openWorker('true');
    const buildId = v7();
    await ensure(worker, { buildId }, sandboxes);
    fake.remove(`slipway-${buildId}`);
    await waitFor(async () => (await worker.find(buildId)) === null);
    expect(await worker.list()).toEqual([{ buildId, closed: false }]);
    await worker.leave(buildId, KEPT);
    expect(await worker.list()).toEqual([]);
    expect(sandboxes.all).toEqual([]);
  });

  test('pods of Sandboxes go with these also when Sandboxes are no longer used', async () => {
    const sandboxes = serveSandboxes(fake);
    const buildId = v7();
    await ensure(await openWorker('true'), { buildId }, sandboxes);
    const worker = await openWorker('false');
    await waitFor(async () => (await worker.list()).length === 1);
    await worker.leave(buildId, KEPT);
    expect([sandboxes.all, fake.pods]).toEqual([[], []]);
  });
});

test.each([
  [{ apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', name: 'a', uid: 'b' }, 'v1beta1'],
  [{ apiVersion: 'agents.x-k8s.io/../..', kind: 'Sandbox', name: 'a', uid: 'b' }, undefined],
  [{ apiVersion: 'extensions.agents.x-k8s.io/v1beta1', kind: 'Sandbox', name: 'a', uid: 'b' }, undefined],
  [{ apiVersion: 'batch/v1', kind: 'Job', name: 'a', uid: 'b' }, undefined],
  [{}, undefined],
])('an owner %j', (owner, version) => {
  expect(sandboxRef(owner)?.version).toBe(version);
});
