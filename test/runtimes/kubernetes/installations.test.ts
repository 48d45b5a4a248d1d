/** Installations that share a namespace, each with a database of its own: what one has made, the others leave alone. */
import { v7 } from 'uuid';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readInstallation } from '../../../src/database/installation.ts';
import { openOrchestrator } from '../../../src/orchestrator.ts';
import { openKubernetesRuntime } from '../../../src/runtimes/kubernetes/kubernetes.ts';
import { buildPodName, LABELS } from '../../../src/runtimes/kubernetes/pod-layout.ts';
import { podSpec } from '../../../src/runtimes/kubernetes/pod-spec.ts';
import { keepWorkspaces } from '../../../src/workers/janitor.ts';
import { housekeeperOf } from '../../support/coordinator.ts';
import { FAKE_NAMESPACE, type FakeKubeApi, openFakeKubeApi } from '../../support/fake-kube-api.ts';
import { serveSandboxes } from '../../support/fake-sandboxes.ts';
import { runtimeOptions } from '../../support/kubernetes-runtime.ts';
import { openTestStack } from '../../support/orchestrator.ts';
import { waitFor } from '../../support/wait-for.ts';
import { IMAGE, podRequest, RUNNING } from './pod-requests.ts';

let fake: FakeKubeApi;

beforeEach(async () => {
  fake = await openFakeKubeApi();
});

afterEach(() => fake[Symbol.asyncDispose]());

const names = () => fake.pods.map(({ metadata }) => metadata.name);
const options = () => ({ kubeconfig: fake.kubeconfig, namespace: FAKE_NAMESPACE });

/** Of a build, made by an installation. */
async function putPod(instance: string, buildId: string): Promise<string> {
  const name = buildPodName(buildId);
  await fetch(`http://127.0.0.1:${fake.port}/api/v1/namespaces/${FAKE_NAMESPACE}/pods`, {
    method: 'POST',
    body: JSON.stringify(podSpec(podRequest({ name, buildId, attemptNo: 1, instance }))),
  });
  fake.put(name, RUNNING);
  return name;
}

const kubernetes = () => ({
  SLIPWAY_RUNTIME: 'kubernetes',
  SLIPWAY_LOCAL_REPOSITORIES: '',
  KUBECONFIG: fake.kubeconfig,
  SLIPWAY_KUBERNETES_IMAGE: IMAGE,
  SLIPWAY_KUBERNETES_TOOLS_IMAGE: IMAGE,
});

test('a pod of a build that its own database does not know goes; that of another installation stays', async () => {
  await using stack = await openTestStack(kubernetes());
  const { runtime, db } = stack.orchestrator;
  const own = await putPod(await readInstallation(db), v7());
  const foreign = await putPod(v7(), v7());
  await waitFor(async () => (await runtime.list()).length > 0);
  await keepWorkspaces(housekeeperOf(stack.orchestrator));
  expect(names()).toEqual([foreign]);
  expect(names()).not.toContain(own);
});

test('a copy of a database is told by SLIPWAY_KUBERNETES_INSTANCE that it is another installation', async () => {
  await using stack = await openTestStack({ ...kubernetes(), SLIPWAY_KUBERNETES_INSTANCE: 'copy' });
  const { runtime, db } = stack.orchestrator;
  const original = await putPod(await readInstallation(db), v7());
  await putPod('copy', v7());
  await waitFor(async () => (await runtime.list()).length > 0);
  await keepWorkspaces(housekeeperOf(stack.orchestrator));
  expect(names()).toEqual([original]);
});

test('every process on a database has its id, and another database has another one', async () => {
  await using stack = await openTestStack();
  const { config, logger, databaseUrl, db } = stack.orchestrator;
  await using again = await openOrchestrator({ config, logger, databaseUrl, supervise: false });
  expect(await readInstallation(again.db)).toBe(await readInstallation(db));
  await db.updateTable('installation').set({ id: v7() }).execute();
  await expect(db.insertInto('installation').defaultValues().execute()).rejects.toThrow('installation_pkey');
});

test('warm pods of another installation are neither taken nor counted nor trimmed', async () => {
  const warm = [{ image: IMAGE, count: 1 }];
  const changes = { image: IMAGE, toolsImage: IMAGE, warm };
  await using one = await openKubernetesRuntime(runtimeOptions(options(), { ...changes, instance: 'one' }));
  await using other = await openKubernetesRuntime(runtimeOptions(options(), { ...changes, instance: 'other' }));
  const warmOf = (instance: string) =>
    fake.pods.filter(({ metadata }) => metadata.labels[LABELS.instance] === instance);
  await waitFor(() => fake.watches === 2, { what: 'both watches' });
  await waitFor(() => one.problem() === null && other.problem() === null, { what: 'both lists' });
  await one.tend();
  await other.tend();
  await one.tend();
  expect([warmOf('one'), warmOf('other')].map((pods) => pods.length)).toEqual([1, 1]);
  for (const { metadata } of warmOf('other')) fake.put(metadata.name, RUNNING);
  fake.remove(warmOf('one')[0]?.metadata.name ?? '');
  const buildId = v7();
  const opening = one.open(buildId, { projectId: v7(), attemptNo: 1, signal: AbortSignal.timeout(10_000) });
  opening.catch(() => {});
  await waitFor(() => names().includes(buildPodName(buildId)), { what: 'a cold pod' });
  expect(warmOf('other').map(({ metadata }) => metadata.labels[LABELS.kind])).toEqual(['warm']);
});

test('a copy of a database that was given an id of its own does not take the original’s pods over', async () => {
  const buildId = v7();
  const name = await putPod('original', buildId);
  await using copy = await openKubernetesRuntime(runtimeOptions(options(), { instance: 'copy' }));
  await expect(copy.open(buildId, { attemptNo: 2 })).rejects.toThrow(`pods "${name}" already exists`);
  expect(await copy.sweep(buildId, 2)).toBe(0);
  await copy.close(buildId, { keepHome: false });
  expect(fake.pods.map(({ metadata }) => metadata.labels[LABELS.attempt])).toEqual(['1']);
});

test('a Sandbox of another installation is not taken over or removed', async () => {
  const sandboxes = serveSandboxes(fake);
  const changes = { image: IMAGE, toolsImage: IMAGE, sandbox: 'true' } as const;
  const openRuntime = (instance: string) => openKubernetesRuntime(runtimeOptions(options(), { ...changes, instance }));
  await using original = await openRuntime('original');
  await using copy = await openRuntime('copy');
  const buildId = v7();
  const stop = new AbortController();
  const opening = original.open(buildId, { attemptNo: 1, signal: stop.signal });
  opening.catch(() => {});
  await waitFor(() => sandboxes.all.length === 1);
  await expect(copy.open(buildId, { attemptNo: 2 })).rejects.toThrow("another installation's");
  await copy.close(buildId, { keepHome: false });
  expect(await copy.list()).toEqual([]);
  expect(sandboxes.all.map(({ metadata }) => metadata.labels[LABELS.instance])).toEqual(['original']);
  stop.abort();
  await expect(opening).rejects.toThrow();
});
