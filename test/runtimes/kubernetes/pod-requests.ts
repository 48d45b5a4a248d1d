/** Requests for pods: one that is plain, and any. Their settings are read as an operator's are. */
import fc from 'fast-check';
import { v7 } from 'uuid';
import { readConfig } from '../../../src/config/config.ts';
import { OPTIONS } from '../../../src/config/options.ts';
import type { PodRequest } from '../../../src/runtimes/kubernetes/pod-spec.ts';

export const IMAGE = 'docker.io/local/agent:1';

export function podSettings(pod: unknown = {}): PodRequest['settings'] {
  return readConfig({ SLIPWAY_KUBERNETES_POD: JSON.stringify(pod) }).kubernetesPod;
}

export function podRequest(changes: Partial<PodRequest> = {}): PodRequest {
  const buildId = v7();
  return {
    name: `slipway-${buildId}`,
    kind: 'build',
    instance: 'slipway',
    buildId,
    projectId: v7(),
    attemptNo: 1,
    network: 'all',
    image: IMAGE,
    toolsImage: 'docker.io/local/slipway:ci',
    cpu: null,
    memory: null,
    storage: null,
    deadlineSeconds: null,
    settings: podSettings(),
    ...changes,
  };
}

const name = fc.constantFrom('a', 'npm-token', 'corp.example', 'default');
const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('', 'true', 'x') },
  { weight: 1, arbitrary: fc.oneof(fc.constantFrom('unconfined', 'runtime/default', '$(HOME)'), fc.string()) },
);
const key = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ...['app', 'kueue.x-k8s.io/queue-name', 'app.kubernetes.io/name', 'app.kubernetes.io/managed-by'],
      'cluster-autoscaler.kubernetes.io/safe-to-evict',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...['slipway.dev/component', 'slipway.dev/build', 'container.apparmor.security.beta.kubernetes.io/agent'],
      'seccomp.security.alpha.kubernetes.io/pod',
    ),
  },
);
const variable = fc.constantFrom('A', 'B', 'NPM_TOKEN', 'HTTPS_PROXY', 'CI', 'LD_PRELOAD', 'GIT_SSH_COMMAND', 'A=B');
const mounts = fc.array(fc.oneof(fc.record({ name }), fc.record({ name, key: name, variable })), { maxLength: 3 });
const amounts = fc.record(
  {
    cpu: fc.constantFrom('1', '250m', '4', 2),
    memory: fc.constantFrom('512Mi', '2Gi', '8Gi'),
    'ephemeral-storage': fc.constantFrom('1Gi', '30Gi'),
  },
  { requiredKeys: [] },
);
const resources = fc.record({ requests: amounts, limits: amounts }, { requiredKeys: [] });
const id = fc.constantFrom(0, 1, 1000, 65_534);

/** Anything that an operator might write, also what is refused. */
const anyPod = fc.record(
  {
    resources,
    gitResources: resources,
    nodeSelector: fc.dictionary(key, word, { maxKeys: 2 }),
    tolerations: fc.array(
      fc.record(
        {
          key: fc.constantFrom('gpu', 'node.kubernetes.io/unreachable', 'node.kubernetes.io/not-ready'),
          operator: fc.constantFrom('Equal', 'Exists'),
          effect: fc.constantFrom('NoSchedule', 'NoExecute'),
          tolerationSeconds: fc.constantFrom(0, 300),
        },
        { requiredKeys: ['operator'] },
      ),
      { maxLength: 3 },
    ),
    runtimeClassName: fc.constantFrom(null, 'gvisor', 'kata'),
    serviceAccountName: fc.constantFrom(null, 'builds'),
    imagePullSecrets: fc.array(name, { maxLength: 2 }),
    imagePullPolicy: fc.constantFrom(null, 'Always', 'Never'),
    labels: fc.dictionary(key, word, { maxKeys: 3 }),
    annotations: fc.dictionary(key, word, { maxKeys: 3 }),
    secrets: mounts,
    configMaps: mounts,
    env: fc.dictionary(variable, word, { maxKeys: 2 }),
    user: fc.record({ runAsUser: id, runAsGroup: id, fsGroup: id }, { requiredKeys: [] }),
    deadlineSeconds: fc.constantFrom(60, 3600),
  },
  { requiredKeys: [] },
);

/** Null where the settings are refused. */
function acceptedSettings(pod: unknown): PodRequest['settings'] | null {
  return OPTIONS.kubernetesPod.schema.safeParse(JSON.stringify(pod)).data ?? null;
}

/** Without the members that are refused by themselves; nothing at all where they do not go together. */
function acceptable(pod: object): PodRequest['settings'] {
  const members = Object.entries(pod).filter(([member, value]) => acceptedSettings({ [member]: value }) !== null);
  return acceptedSettings(Object.fromEntries(members)) ?? podSettings();
}

export const anyRequest: fc.Arbitrary<PodRequest> = fc
  .record({
    kind: fc.constantFrom('build', 'project', 'warm'),
    network: fc.constantFrom('all', 'none'),
    attemptNo: fc.option(fc.integer({ min: 1, max: 9 })),
    cpu: fc.option(fc.constant('3')),
    memory: fc.option(fc.constant('6Gi')),
    storage: fc.option(fc.constant('5Gi')),
    deadlineSeconds: fc.option(fc.integer({ min: 60, max: 100_000 })),
    pod: anyPod,
  })
  .map(({ pod, ...rest }) => podRequest({ ...rest, settings: acceptable(pod) }));

/** The status of a pod whose containers run. */
export const RUNNING = {
  phase: 'Running',
  containerStatuses: ['git', 'agent'].map((name) => ({ name, state: { running: {} } })),
};
