/** The runtime and an API server in memory: what it does when the one or the pod does not answer. */
import { text } from 'node:stream/consumers';
import { v7 } from 'uuid';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findBuild } from '../../../src/builds/build.ts';
import { startBuild } from '../../../src/builds/start-build.ts';
import { openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import { type KubernetesRuntime, openKubernetesRuntime } from '../../../src/runtimes/kubernetes/kubernetes.ts';
import { podSpec } from '../../../src/runtimes/kubernetes/pod-spec.ts';
import { openPodWatch } from '../../../src/runtimes/kubernetes/pod-watch.ts';
import { packData, unpackData } from '../../../src/std/pack-data.ts';
import { keepWorkspaces } from '../../../src/workers/janitor.ts';
import { findWorkers } from '../../../src/workers/registry.ts';
import { Worker } from '../../../src/workers/worker.ts';
import { claimByHand, registerByHand } from '../../support/claim.ts';
import { housekeeperOf } from '../../support/coordinator.ts';
import {
  endExec,
  FAKE_NAMESPACE,
  type FakeKubeApi,
  openFakeKubeApi,
  sayExec,
  sendStatus,
} from '../../support/fake-kube-api.ts';
import { runtimeOptions } from '../../support/kubernetes-runtime.ts';
import { openTestStack } from '../../support/orchestrator.ts';
import { waitFor } from '../../support/wait-for.ts';
import { podRequest, RUNNING } from './pod-requests.ts';

let fake: FakeKubeApi;
let runtime: KubernetesRuntime;

beforeEach(async () => {
  fake = await openFakeKubeApi();
  runtime = await openKubernetesRuntime(runtimeOptions({ kubeconfig: fake.kubeconfig, namespace: FAKE_NAMESPACE }));
});

afterEach(async () => {
  await runtime[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

async function createPod(pod: object): Promise<void> {
  const url = `http://127.0.0.1:${fake.port}/api/v1/namespaces/${FAKE_NAMESPACE}/pods`;
  await fetch(url, { method: 'POST', body: JSON.stringify(pod) });
}

/** Somebody has made it. */
async function putPod(buildId: string, attemptNo: number): Promise<string> {
  const name = `slipway-${buildId}`;
  const pod = podSpec(podRequest({ name, buildId, attemptNo, instance: 'test' }));
  await createPod(pod);
  fake.put(name, RUNNING);
  await waitFor(async () => (await runtime.list()).some((one) => one.buildId === buildId));
  return name;
}

const names = () => fake.pods.map(({ metadata }) => metadata.name);

test('an API server that is away when a build begins is waited for, and the build says so once', async () => {
  const buildId = v7();
  const paths = { root: '/slipway/builds/x' };
  fake.exec = (socket) => {
    sayExec(socket, 1, packData({ paths }));
    endExec(socket, 0);
  };
  let refused = 0;
  fake.answer = (request, response) => {
    if (request.method !== 'POST' || refused >= 7) return false;
    refused += 1;
    return sendStatus(response, 503, 'ServiceUnavailable', 'the server is starting');
  };
  const waits: string[] = [];
  const opening = runtime.open(buildId, { projectId: v7(), attemptNo: 1, onWait: (message) => waits.push(message) });
  await waitFor(() => names().length === 1);
  fake.put(`slipway-${buildId}`, RUNNING);
  expect((await opening).paths).toEqual(paths);
  expect(waits.filter((message) => message.includes('the server is starting'))).toHaveLength(1);
});

interface Heard {
  readonly container: string | null;
  readonly operation: string;
  readonly fence?: object;
  readonly data: { readonly everything?: boolean };
}

/** What the pod is asked from now on; `builds`: what it says that are in it. */
function hear(builds: readonly string[] = []): Heard[] {
  const heard: Heard[] = [];
  fake.exec = (socket, request) =>
    socket.once('message', (bytes: Buffer) => {
      const end = bytes.indexOf('\n');
      const header = JSON.parse(bytes.toString('utf8', 1, end));
      const { searchParams } = new URL(request.url ?? '', 'http://fake');
      heard.push({ ...header, container: searchParams.get('container'), data: unpackData(bytes.subarray(end + 1)) });
      const list = builds.map((buildId) => ({ buildId, closed: false }));
      sayExec(socket, 1, packData(header.operation === 'list' ? { builds: list } : { killed: 0 }));
      endExec(socket, 0);
    });
  return heard;
}

test('a sweep names the attempt, so that the pod can refuse one that is superseded', async () => {
  const buildId = v7();
  await putPod(buildId, 2);
  const heard = hear();
  await runtime.sweep(buildId, 1);
  expect(heard).toHaveLength(2);
  for (const header of heard) expect(header).toMatchObject({ operation: 'sweep', fence: { buildId, attemptNo: 1 } });
});

test('a sweep ends all that runs beside the agent of a build alone, and in a pod of many builds only its own', async () => {
  const buildId = v7();
  await putPod(buildId, 1);
  const alone = hear();
  await runtime.sweep(buildId, 1);
  const swept = (heard: Heard[]) =>
    heard.filter(({ operation }) => operation === 'sweep').map(({ container, data }) => [container, data.everything]);
  expect(swept(alone)).toEqual([
    ['agent', true],
    ['git', false],
  ]);

  const options = runtimeOptions({ kubeconfig: fake.kubeconfig, namespace: FAKE_NAMESPACE }, { mode: 'exec' });
  await using shared = await openKubernetesRuntime(options);
  const name = `slipway-project-${v7()}`;
  const pod = podSpec(podRequest({ name, kind: 'project', buildId: null, attemptNo: null, instance: 'test' }));
  await createPod(pod);
  fake.put(name, RUNNING);
  const together = hear([buildId, v7()]);
  await waitFor(async () => (await shared.list()).length === 2);
  await shared.sweep(buildId, 1);
  expect(swept(together)).toEqual([
    ['agent', false],
    ['git', false],
  ]);
});

test('the pod of a build that is over goes, also when it lets nobody in', async () => {
  await using stack = await openTestStack();
  const over = await putPod(v7(), 1);
  fake.upgrade = (_request, socket) => socket.end('HTTP/1.1 500 Internal Server Error\r\n\r\n');
  await keepWorkspaces(housekeeperOf(stack.orchestrator, runtime));
  expect(names()).not.toContain(over);
});

test('a worker that ends does not use force against a pod that takes its time', async () => {
  const buildId = v7();
  await putPod(buildId, 1);
  fake.answer = (request, response) => {
    if (request.method !== 'DELETE') return false;
    response.end('{}');
    return true;
  };
  const deletions = () => fake.requests.filter((request) => request.startsWith('DELETE')).length;
  const closing = runtime.close(buildId, { keepHome: false }).then(
    () => null,
    (error: Error) => error,
  );
  await waitFor(() => deletions() === 1);
  await runtime[Symbol.asyncDispose]();
  expect(await closing).toMatchObject({ reason: 'Aborted' });
  expect(deletions()).toBe(1);
});

test('a pod in which nothing runs any more is not waited for until its kubelet lets go of it, one that still runs is', async () => {
  const buildId = v7();
  const name = await putPod(buildId, 1);
  const deletions: string[] = [];
  fake.answer = async (request, response) => {
    if (request.method !== 'DELETE') return false;
    deletions.push(await text(request));
    if (deletions.length > 1) fake.remove(name);
    response.end('{}');
    return true;
  };
  const ending = { metadata: { deletionTimestamp: new Date().toISOString() } };
  const url = `http://127.0.0.1:${fake.port}/api/v1/namespaces/${FAKE_NAMESPACE}/pods/${name}`;
  const say = (agent: object) =>
    fake.put(name, {
      phase: 'Running',
      containerStatuses: [
        { name: 'git', state: { terminated: { exitCode: 0 } } },
        { name: 'agent', state: agent },
      ],
    });
  const closing = runtime.close(buildId, { keepHome: false });
  await waitFor(() => deletions.length === 1);
  await fetch(url, { method: 'PATCH', body: JSON.stringify(ending) });
  say({ running: {} });
  // Whoever follows the pod has heard of it by then.
  await using api = await openKubeApi({ kubeconfig: fake.kubeconfig, namespace: FAKE_NAMESPACE });
  await using seen = openPodWatch({ api, labelSelector: '', onError: console.error });
  await seen.waitFor(name, (pod) => pod?.containers[0]?.state === 'terminated', { deadlineMs: 10_000 });
  expect(deletions).toHaveLength(1);
  say({ terminated: { exitCode: 0 } });
  await closing;
  expect(deletions.map((body) => JSON.parse(body).gracePeriodSeconds)).toEqual([5, 0]);
});

test('a worker that reaches the same cluster by another address leaves the pods of running builds alone', async () => {
  await using stack = await openTestStack();
  const { id: projectId } = await stack.createProject();
  await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  const build = await claimByHand(stack, await registerByHand(stack, 'kubernetes:another-address'));
  const earlier = build.attemptNo - 1;
  const name = await putPod(build.id, build.attemptNo);
  await keepWorkspaces(housekeeperOf(stack.orchestrator, runtime));
  expect(names()).toContain(name);
  fake.remove(name);
  await waitFor(async () => (await runtime.list()).length === 0);
  await putPod(build.id, earlier);
  await keepWorkspaces(housekeeperOf(stack.orchestrator, runtime));
  expect(names()).toEqual([]);
});

test('builds stay in the queue while the cluster does not let the worker see its pods', async () => {
  await using stack = await openTestStack({ SLIPWAY_LOG_LEVEL: 'silent' });
  fake.answer = (request, response) =>
    request.method === 'GET' && sendStatus(response, 403, 'Forbidden', 'pods is forbidden: cannot list');
  await using forbidden = await openKubernetesRuntime(
    runtimeOptions({ kubeconfig: fake.kubeconfig, namespace: FAKE_NAMESPACE }),
  );
  await waitFor(() => forbidden.problem()?.includes('cannot list'));
  const project = await stack.createProject({ repositoryUrl: 'https://git.example.com/team/project.git' });
  const input = { projectId: project.id, spec: { prompt: 'x' } };
  const { build } = await startBuild(stack.orchestrator, input, 'test');
  await using worker = new Worker({ ...stack.orchestrator, runtime: forbidden }, { name: 'test', capacity: 1 });
  await worker.open();
  const status = async () => (await findBuild(stack.orchestrator.db, build.id))?.status;
  // It looks for builds at its start and every two seconds, and is heard of every four.
  const isHeard = async () => {
    const [found] = await findWorkers(stack.orchestrator.db, { ids: [worker.id] });
    return found && found.heartbeatAt > found.startedAt;
  };
  await waitFor(isHeard, { what: 'a heartbeat' });
  expect([worker.running, await status()]).toEqual([0, 'PENDING']);
  fake.answer = null;
  await waitFor(async () => (await status()) !== 'PENDING', { what: 'the claim' });
  expect(forbidden.problem()).toBeNull();
});
