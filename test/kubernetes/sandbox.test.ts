/**
 * Builds by way of Sandbox objects on a real cluster. The definition is a minimal one where the cluster has none, and the test
 * plays the controller: a pod for each Sandbox, which the cluster's own garbage collector removes with it.
 */
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type KubernetesRuntime, openKubernetesRuntime } from '../../src/runtimes/kubernetes/kubernetes.ts';
import type { SandboxUse } from '../../src/runtimes/kubernetes/sandbox-pods.ts';
import { CLUSTER_PROBLEM, openTestNamespace, runKubectl, type TestNamespace } from '../support/cluster.ts';
import { runtimeOptions } from '../support/kubernetes-runtime.ts';
import { waitFor } from '../support/wait-for.ts';

const DEFINITION = 'sandboxes.agents.x-k8s.io';
const MINUTES = { timeout: 5 * 60_000 };
const CONTROL_EVERY_MS = 1_000;

interface ObjectJson {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly kind: string; readonly uid: string }[];
  };
  readonly spec: { readonly podTemplate: { readonly metadata: object; readonly spec: object } };
}

const hasDefinition = async () =>
  (await runKubectl(['get', 'crd', DEFINITION, '--ignore-not-found', '-o', 'name'])).trim() !== '';

/** Built by a Go that is younger than itself (1.18 on), such a server crashes for good when it is given any definition. */
const mayCrash = async () => /"gitVersion": "v1\.(1\d|20)\./.test(await runKubectl(['get', '--raw', '/version']));

const isForeign = CLUSTER_PROBLEM === '' && (await hasDefinition());
if (isForeign)
  console.log('Tests of Sandboxes are skipped: the cluster has their definition, and perhaps a controller.');
const isFragile = CLUSTER_PROBLEM === '' && !isForeign && (await mayCrash());
if (isFragile)
  console.log('Sandboxes are not tried: Kubernetes 1.20 and before may crash when it is given a definition.');

describe.skipIf(CLUSTER_PROBLEM !== '' || isForeign)('builds by way of Sandboxes', () => {
  let cluster: TestNamespace;
  let controller: NodeJS.Timeout | undefined;
  let isControlling = false;
  const troubles: unknown[] = [];

  beforeAll(async () => {
    cluster = await openTestNamespace();
  }, 60_000);
  afterAll(async () => {
    clearInterval(controller);
    await waitFor(() => !isControlling, { what: 'the end of the controller' });
    if (controller) await runKubectl(['delete', 'crd', DEFINITION, '--ignore-not-found', '--wait=false']);
    await cluster[Symbol.asyncDispose]();
  }, 60_000);

  const open = (sandbox: SandboxUse) => openKubernetesRuntime(runtimeOptions(cluster, { sandbox }));
  const get = async (kind: string): Promise<ObjectJson[]> =>
    (JSON.parse(await cluster.kubectl(['get', kind, '-o', 'json'])) as { items: ObjectJson[] }).items;

  async function install(): Promise<void> {
    await cluster.apply(definition());
    await runKubectl(['wait', '--for=condition=established', `crd/${DEFINITION}`, '--timeout=30s']);
    await waitFor(() => get(DEFINITION).catch(() => null), { everyMs: 100, what: 'the definition' });
    controller = setInterval(() => {
      if (isControlling) return;
      isControlling = true;
      control()
        .catch((error: unknown) => troubles.push(error))
        .finally(() => {
          isControlling = false;
        });
    }, CONTROL_EVERY_MS);
  }

  /** As the real controller does: under the same name, with the template's labels. */
  async function control(): Promise<void> {
    const all = await get(`${DEFINITION},pods`);
    const names = new Set(all.filter(({ kind }) => kind === 'Pod').map(({ metadata }) => metadata.name));
    for (const { metadata, spec } of all.filter(({ kind }) => kind === 'Sandbox')) {
      if (names.has(metadata.name)) continue;
      const owner = { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', name: metadata.name, uid: metadata.uid };
      const ownerReferences = [{ ...owner, controller: true, blockOwnerDeletion: true }];
      const { podTemplate } = spec;
      const pod = { ...podTemplate, metadata: { ...podTemplate.metadata, name: metadata.name, ownerReferences } };
      await cluster.kubectl(['create', '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod }),
      });
    }
  }

  async function runGit(runtime: KubernetesRuntime, buildId: string, attemptNo: number): Promise<void> {
    const workspace = await runtime.open(buildId, { projectId: v7(), attemptNo, maxSeconds: 600 });
    const argv = ['git', '--version'] as const;
    const { stdout } = await workspace.exec({ argv, cwd: workspace.paths.root, env: {}, timeoutMs: 30_000 });
    expect(stdout.toString()).toMatch(/^git version/);
  }

  test('without the definition `true` does not open, and `auto` makes pods as ever', MINUTES, async () => {
    await expect(open('true')).rejects.toThrow('SLIPWAY_KUBERNETES_SANDBOX is true, and the cluster has no definition');
    await using runtime = await open('auto');
    const buildId = v7();
    await runGit(runtime, buildId, 1);
    expect((await get('pods'))[0]?.metadata.ownerReferences).toBeUndefined();
    await runtime.close(buildId, { keepHome: false });
  });

  test.skipIf(isFragile)(
    'a build has a Sandbox and its pod, is lost and begun again in a new one, and leaves neither',
    MINUTES,
    async () => {
      await install();
      await using runtime = await open('auto');
      const buildId = v7();
      await runGit(runtime, buildId, 1);
      const [sandbox] = await get(DEFINITION);
      const [pod] = await get('pods');
      expect(sandbox?.metadata.name).toBe(`slipway-${buildId}`);
      expect(pod?.metadata.ownerReferences).toMatchObject([{ kind: 'Sandbox', uid: sandbox?.metadata.uid }]);
      expect(await runtime.list()).toEqual([{ buildId, closed: false }]);

      await runGit(runtime, buildId, 2);
      const [adopted] = await get(DEFINITION);
      expect(adopted?.metadata).toMatchObject({ uid: sandbox?.metadata.uid, labels: { 'slipway.dev/attempt': '2' } });
      expect(adopted?.spec.podTemplate.metadata).toMatchObject({ labels: { 'slipway.dev/attempt': '2' } });

      // The controller makes another pod of the same name: the next attempt goes on in that.
      await cluster.kubectl(['delete', 'pod', `slipway-${buildId}`, '--grace-period=1']);
      await runGit(runtime, buildId, 3);
      expect((await get('pods')).map(({ metadata }) => metadata.uid)).not.toEqual([pod?.metadata.uid]);

      await runtime.close(buildId, { keepHome: false });
      expect(await get('pods')).toEqual([]);
      expect(await get(DEFINITION)).toEqual([]);
      expect(troubles).toEqual([]);
    },
  );

  test.skipIf(isFragile)(
    'a Sandbox of nobody is in the list, is removed, and the garbage collector takes its pod',
    MINUTES,
    async () => {
      await using runtime = await open('true');
      const buildId = v7();
      await runGit(runtime, buildId, 1);
      await cluster.kubectl(['delete', DEFINITION, `slipway-${buildId}`]);
      await waitFor(async () => (await get('pods')).length === 0, {
        deadlineMs: 60_000,
        everyMs: 250,
        what: 'its end',
      });
      const labels = { 'app.kubernetes.io/managed-by': 'slipway', 'slipway.dev/instance': 'test' };
      clearInterval(controller);
      await cluster.apply({
        apiVersion: 'agents.x-k8s.io/v1beta1',
        kind: 'Sandbox',
        metadata: { name: `slipway-${buildId}`, labels: { ...labels, 'slipway.dev/build': buildId } },
        spec: { podTemplate: { metadata: {}, spec: {} } },
      });
      await waitFor(async () => (await runtime.list()).length === 1, { everyMs: 250, what: 'the orphan in the list' });
      await runtime.close(buildId, { keepHome: false });
      expect(await get(DEFINITION)).toEqual([]);
      expect(await runtime.list()).toEqual([]);
    },
  );
});

function definition(): object {
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const openAPIV3Schema = { type: 'object', properties: { spec: anything, status: anything } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: DEFINITION,
      annotations: { 'api-approved.kubernetes.io': 'unapproved, for a test' },
    },
    spec: {
      group: 'agents.x-k8s.io',
      scope: 'Namespaced',
      names: { plural: 'sandboxes', singular: 'sandbox', kind: 'Sandbox', listKind: 'SandboxList' },
      versions: [{ name: 'v1beta1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
}
