import type { V1Container, V1Pod } from '@kubernetes/client-node';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LABELS, SPEC_HASH } from '../../../src/runtimes/kubernetes/pod-layout.ts';
import { operatorVariables } from '../../../src/runtimes/kubernetes/pod-settings.ts';
import { podSpec } from '../../../src/runtimes/kubernetes/pod-spec.ts';
import { restrictedViolations } from '../../support/pod-security.ts';
import { anyRequest, podRequest, podSettings } from './pod-requests.ts';

function specOf(pod: V1Pod) {
  if (!pod.spec) throw new Error('a pod without a spec');
  return pod.spec;
}

function containersOf(pod: V1Pod): Record<string, V1Container> {
  const { initContainers = [], containers } = specOf(pod);
  return Object.fromEntries([...initContainers, ...containers].map((container) => [container.name, container]));
}

function mountsOf(container: V1Container | undefined): readonly string[] {
  return (container?.volumeMounts ?? []).map(({ name, readOnly }) => (readOnly ? `${name} ro` : name));
}

function check(property: (request: ReturnType<typeof podRequest>) => void): void {
  fc.assert(fc.property(anyRequest, property), { numRuns: 100 });
}

test('whatever is asked for, and whatever the operator sets, the profile "restricted" holds', () => {
  check((request) => {
    const pod = podSpec(request);
    expect(restrictedViolations(specOf(pod), pod.metadata)).toEqual([]);
    for (const { securityContext } of Object.values(containersOf(pod))) {
      expect(securityContext).toMatchObject({ readOnlyRootFilesystem: true, privileged: false });
    }
    expect(specOf(pod)).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      shareProcessNamespace: false,
      restartPolicy: 'Never',
    });
  });
});

test('the trusted git folder is in no other container than git, and what is read-only stays so', () => {
  check((request) => {
    const { tools, git, agent } = containersOf(podSpec(request));
    expect(mountsOf(tools)).toEqual(['tools']);
    expect(mountsOf(git)).toEqual(['builds', 'inbox', 'git', 'cache', 'tools ro', 'git-tmp']);
    const ours = mountsOf(agent).filter((mount) => !/^(secret|config)-/.test(mount));
    expect(ours).toEqual(['builds', 'inbox ro', 'cache ro', 'tools ro', 'agent-tmp']);
  });
});

test('only what the operator names of Secrets and ConfigMaps is in the agent, read-only, and nothing of it elsewhere', () => {
  check((request) => {
    const { settings } = request;
    const pod = podSpec(request);
    const { tools, git, agent } = containersOf(pod);
    const volumes = specOf(pod).volumes ?? [];
    const secretOf = (name: string) => volumes.find((volume) => volume.name === name)?.secret?.secretName;
    const mounted = (agent?.volumeMounts ?? []).filter(({ name }) => secretOf(name) !== undefined);
    const files = settings.secrets.filter(({ variable }) => variable === undefined).map(({ name }) => name);
    expect(mounted.map(({ name }) => secretOf(name))).toEqual(files);
    expect(mounted.every(({ readOnly }) => readOnly)).toBe(true);
    expect(mounted.map(({ mountPath }) => mountPath)).toEqual(files.map((name) => `/slipway/secrets/${name}`));
    const refs = (agent?.env ?? []).flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []);
    const named = settings.secrets.filter(({ variable }) => variable !== undefined);
    expect(refs).toEqual(named.map(({ name, key }) => ({ name, key })));
    expect((agent?.env ?? []).map(({ name }) => name)).toEqual([
      'HOME',
      'NODE_COMPILE_CACHE',
      ...operatorVariables(settings),
    ]);
    expect(tools?.env).toBeUndefined();
    expect(git?.env?.map(({ name }) => name)).toEqual(['HOME', 'NODE_COMPILE_CACHE']);
  });
});

test("our labels go before the operator's, which are passed on", () => {
  check((request) => {
    const labels = podSpec(request).metadata?.labels ?? {};
    expect(labels).toMatchObject({
      [LABELS.name]: 'slipway',
      [LABELS.managedBy]: 'slipway',
      [LABELS.kind]: request.kind,
      [LABELS.instance]: 'slipway',
      [LABELS.network]: request.network,
      [LABELS.build]: request.buildId,
    });
    const theirs = Object.entries(request.settings.labels).filter(([key]) => !key.startsWith('app.kubernetes.io/'));
    expect(labels).toMatchObject(Object.fromEntries(theirs));
  });
  const queue = { 'kueue.x-k8s.io/queue-name': 'agents', 'app.kubernetes.io/name': 'theirs' };
  const { metadata } = podSpec(podRequest({ settings: podSettings({ labels: queue }) }));
  expect(metadata?.labels).toMatchObject({
    'kueue.x-k8s.io/queue-name': 'agents',
    'app.kubernetes.io/name': 'slipway',
  });
});

test('each container has requests and limits of processor, memory and storage, each volume of ours a size', () => {
  check((request) => {
    const pod = podSpec(request);
    for (const { resources } of Object.values(containersOf(pod))) {
      const all = { cpu: expect.any(String), memory: expect.any(String), 'ephemeral-storage': expect.any(String) };
      expect(resources).toEqual({ requests: all, limits: all });
    }
    for (const { name, emptyDir, secret, configMap } of specOf(pod).volumes ?? []) {
      expect(emptyDir?.sizeLimit ?? secret?.secretName ?? configMap?.name, name).toMatch(/./);
    }
  });
});

test('what is asked for is promised and the limit, also of the volumes; the rest is as the settings say', () => {
  const settings = podSettings({ resources: { requests: { cpu: '1' }, limits: { cpu: '2', memory: '3Gi' } } });
  const pod = podSpec(podRequest({ settings, memory: '2Gi', storage: '7Gi' }));
  expect(containersOf(pod).agent?.resources).toEqual({
    requests: { cpu: '1', memory: '2Gi', 'ephemeral-storage': '7Gi' },
    limits: { cpu: '2', memory: '2Gi', 'ephemeral-storage': '7Gi' },
  });
  expect(specOf(pod).volumes).toContainEqual({ name: 'builds', emptyDir: { sizeLimit: '7Gi' } });
});

test('a pod lives as long as its build may, at most as long as the operator says; that of a project has no end', () => {
  const settings = podSettings({ deadlineSeconds: 3600 });
  const seconds = (changes: object) => specOf(podSpec(podRequest({ settings, ...changes }))).activeDeadlineSeconds;
  expect(seconds({ deadlineSeconds: 60 })).toBe(60);
  expect(seconds({ deadlineSeconds: 7200 })).toBe(3600);
  expect(seconds({})).toBe(3600);
  expect(seconds({ kind: 'project' })).toBeUndefined();
  expect(seconds({ kind: 'warm' })).toBe(7200);
});

test('a lost node is waited for a minute, unless the operator says how long', () => {
  const keys = (tolerations: unknown) =>
    (specOf(podSpec(podRequest({ settings: podSettings({ tolerations }) }))).tolerations ?? []).map(
      ({ key = '*', tolerationSeconds = null }) => `${key.replace('node.kubernetes.io/', '')} ${tolerationSeconds}`,
    );
  expect(keys([])).toEqual(['not-ready 60', 'unreachable 60']);
  expect(keys([{ operator: 'Exists' }])).toEqual(['* null']);
  expect(keys([{ key: 'gpu', operator: 'Exists' }])).toEqual(['gpu null', 'not-ready 60', 'unreachable 60']);
  const own = { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 };
  expect(keys([own])).toEqual(['unreachable 5', 'not-ready 60']);
  expect(keys([{ operator: 'Exists', effect: 'NoSchedule' }])).toEqual(['* null', 'not-ready 60', 'unreachable 60']);
});

test('pods that can stand in for each other have the same hash, others have not', () => {
  const hash = (changes: Parameters<typeof podRequest>[0]) =>
    podSpec(podRequest(changes)).metadata?.annotations?.[SPEC_HASH];
  const build = hash({ deadlineSeconds: 60 });
  expect(build).toMatch(/^[0-9a-f]{32}$/);
  expect(hash({ kind: 'warm', buildId: null, projectId: null, attemptNo: null, network: 'none' })).toBe(build);
  expect(hash({ image: 'docker.io/local/agent:2' })).not.toBe(build);
  expect(hash({ memory: '2Gi' })).not.toBe(build);
  expect(hash({ settings: podSettings({ labels: { queue: 'a' } }) })).not.toBe(build);
  expect(hash({ settings: podSettings({ deadlineSeconds: 60 }) })).not.toBe(build);
});

test('Kubernetes replaces nothing in the values of variables', () => {
  const { agent } = containersOf(podSpec(podRequest({ settings: podSettings({ env: { A: 'x$(HOME)$$' } }) })));
  expect(agent?.env).toContainEqual({ name: 'A', value: 'x$$(HOME)$$$$' });
});

test('equal requests give equal pods', () => {
  check((request) => {
    expect(podSpec(structuredClone(request))).toEqual(podSpec(request));
  });
});
