/** Also H136: variables that would take over what runs in a pod are refused by name. */
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';

const read = (pod: unknown) =>
  readConfig({ SLIPWAY_KUBERNETES_POD: typeof pod === 'string' ? pod : JSON.stringify(pod) }).kubernetesPod;

const storage = 'ephemeral-storage';

test('what is not set has a default', () => {
  expect(read({})).toEqual(readConfig({}).kubernetesPod);
  expect(read({})).toMatchObject({
    resources: { requests: { cpu: '500m' }, limits: { cpu: '2', memory: '4Gi', [storage]: '20Gi' } },
    maximum: { cpu: '2', memory: '4Gi', [storage]: '20Gi' },
    user: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 },
    runtimeClassName: null,
    imagePullPolicy: null,
    secrets: [],
    env: {},
  });
});

test('a limit that is not given is never below its request, and a request never above its limit', () => {
  const { resources, maximum } = read({ resources: { requests: { memory: '8Gi' }, limits: { cpu: 0.25 } } });
  expect(resources).toEqual({
    requests: { cpu: '0.25', memory: '8Gi', [storage]: '2Gi' },
    limits: { cpu: '0.25', memory: '8Gi', [storage]: '20Gi' },
  });
  expect(maximum).toEqual(resources.limits);
});

test('a user is also the group where no group is given', () => {
  expect(read({ user: { runAsUser: 2000 } }).user).toEqual({ runAsUser: 2000, runAsGroup: 2000, fsGroup: 2000 });
});

test('what Kubernetes knows is passed on as it is', () => {
  const pod = {
    nodeSelector: { 'node.kubernetes.io/pool': 'agents' },
    tolerations: [{ key: 'gpu', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 }],
    runtimeClassName: 'gvisor',
    imagePullSecrets: ['registry'],
    labels: { 'kueue.x-k8s.io/queue-name': 'agents' },
    annotations: { 'example.com/note': 'one two' },
    secrets: [{ name: 'npmrc' }, { name: 'tokens', key: 'npm.token', variable: 'NPM_TOKEN' }],
    configMaps: [{ name: 'corporate-ca' }],
    env: { HTTPS_PROXY: 'http://proxy.example.com:3128', NODE_EXTRA_CA_CERTS: '/slipway/config/corporate-ca/ca.pem' },
  };
  expect(read(pod)).toMatchObject(pod);
});

test.each([
  ['A=B'],
  ['A B'],
  ['1A'],
  [''],
  ['A\0'],
  ['LD_PRELOAD'],
  ['LD_LIBRARY_PATH'],
  ['GIT_SSH_COMMAND'],
  ['GIT_CONFIG_COUNT'],
  ['NODE_OPTIONS'],
  ['NODE_PATH'],
  ['BASH_ENV'],
  ['ENV'],
  ['BASH_FUNC_git%%'],
  ['HOME'],
  ['NODE_COMPILE_CACHE'],
  ['SLIPWAY_BUILD_ID'],
  ['SLIPWAY_MASTER_KEY'],
])('H136: the variable %j is refused, whatever its value comes from', (variable) => {
  const from = { name: 'x', key: 'y', variable };
  const message = /[A-Z=]+_?.* must (not be .*, which|be the name of a variable)/s;
  expect(() => read({ env: { [variable]: 'x' } })).toThrow(message);
  expect(() => read({ secrets: [from] })).toThrow(message);
  expect(() => read({ configMaps: [from] })).toThrow(message);
});

test.each([
  ['{', /must|expected/i],
  ['[]', /expected/i],
  [{ hostNetwork: true }, /hostNetwork/],
  [{ privileged: true }, /privileged/],
  [{ securityContext: {} }, /securityContext/],
  [{ affinity: {} }, /affinity/],
  [{ user: { runAsUser: 0 } }, /user\.runAsUser must be at least 1: nothing runs as root/],
  [{ user: { fsGroup: 0 } }, /user\.fsGroup must be at least 1/],
  [{ resources: { limits: { memory: '512m' } } }, /resources\.limits\.memory must be bytes with a unit/],
  [
    { resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } },
    /resources\.requests\.cpu is 2, more than the limit of 1/,
  ],
  [{ gitResources: { limits: { cpu: 'x' } } }, /gitResources\.limits\.cpu must be processors/],
  [{ resources: { limits: { gpu: '1' } } }, /resources\.limits .*gpu/],
  [{ maximum: { memory: '1Gi' } }, /maximum\.memory is 1Gi, less than resources\.limits/],
  [{ labels: { 'slipway.dev/build': 'x' } }, /labels\.slipway\.dev\/build must not begin with slipway\.dev\//],
  [{ annotations: { 'slipway.dev/spec-hash': 'x' } }, /must not begin with slipway\.dev\//],
  [{ labels: { 'a b': 'x' } }, /labels\.a b must be a name/],
  [{ labels: { a: 'x y' } }, /labels\.a must hold only letters/],
  [{ annotations: { 'container.apparmor.security.beta.kubernetes.io/agent': 'unconfined' } }, /must not take away/],
  [{ annotations: { 'seccomp.security.alpha.kubernetes.io/pod': 'runtime/default' } }, /must not take away/],
  [{ runtimeClassName: '../../' }, /runtimeClassName must hold only lower-case/],
  [{ serviceAccountName: 'A' }, /serviceAccountName must hold only/],
  [{ imagePullSecrets: ['a/b'] }, /imagePullSecrets\.0 must hold only/],
  [{ imagePullPolicy: 'Sometimes' }, /imagePullPolicy/],
  [{ secrets: [{ name: '../../etc' }] }, /secrets\.0\.name must hold only/],
  [{ secrets: [{ name: 'a', key: 'k' }] }, /secrets\.0 needs key and variable, or neither/],
  [{ secrets: [{ name: 'a', key: '../k', variable: 'A' }] }, /secrets\.0\.key must hold only/],
  [{ secrets: [{ name: 'a' }, { name: 'a' }] }, /secrets must not name the same one twice/],
  [{ secrets: [{ name: 'a', key: 'k', variable: 'A' }], env: { A: 'x' } }, /env\.A must be set once/],
  [{ env: { A: 'x\0' } }, /env\.A must be well-formed text/],
  [{ tolerations: [{}] }, /tolerations\.0 needs a key/],
  [{ tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] }, /has the operator Exists and a value/],
  [{ tolerations: [{ key: 'a', tolerationSeconds: 1 }] }, /tolerationSeconds without the effect NoExecute/],
  [{ deadlineSeconds: 1 }, /deadlineSeconds/],
])('%j is refused and says why', (pod, message) => {
  expect(() => read(pod)).toThrow(message);
  expect(() => read(pod)).toThrow('SLIPWAY_KUBERNETES_POD');
});

test('all mistakes are told at once', () => {
  const wrong = { labels: { 'a b': 'x' }, user: { runAsUser: 0 }, imagePullSecrets: ['A'], unknown: 1 };
  for (const part of ['labels.a b', 'user.runAsUser', 'imagePullSecrets.0', 'unknown']) {
    expect(() => read(wrong)).toThrow(part);
  }
});
