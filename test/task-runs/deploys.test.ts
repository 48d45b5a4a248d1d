/** Tasks of the type `deploy`: by a command of the project, and by manifests. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { setCredential } from '../../src/credentials/set-credential.ts';
import { InvalidInputError } from '../../src/errors.ts';
import type { Project } from '../../src/projects/project.ts';
import { parseManifests } from '../../src/task-runs/read-manifests.ts';
import { judgeOf } from '../../src/task-runs/rollout.ts';
import { commitAsPerson } from '../git/sandbox.ts';
import { FAKE_TOKEN, type FakeCluster, openFakeCluster } from '../support/fake-cluster.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { WORKER_PLACES } from '../support/remote.ts';
import { enqueueRun, finishedTask } from '../support/task-runs.ts';

const SECRET = 'fly-secret-0123456789';
const SCRIPT = `
test "$(cat "$KUBECONFIG" | tr -d ' ' | grep -c ${FAKE_TOKEN})" = 1 && echo "a kubeconfig"
test "$(stat -c %a "$KUBECONFIG")" = 600 && echo "for me only"
echo "$SLIPWAY_ENVIRONMENT has $FLY_TOKEN at $SLIPWAY_COMMIT"
case $1 in
file) echo '{"url":"https://shop.example/from-file"}' >"$SLIPWAY_RESULT" ;;
fail) exit 3 ;;
*) echo url=https://shop.example/ ;;
esac
`;
const MANIFESTS = `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, managedFields: [] }
data: { colour: blue }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: front }
spec: { replicas: 1 }
---
---
apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: Namespace, metadata: { name: front } }
  - apiVersion: networking.k8s.io/v1
    kind: Ingress
    metadata: { name: web, namespace: front }
    spec: { tls: [{ hosts: [shop.example] }], rules: [{ host: shop.example }] }
`;

let stack: TestStack;
let server: GitServer;
let cluster: FakeCluster;
let project: Project;
let commit: string;

beforeAll(async () => {
  [server, cluster] = await Promise.all([startGitServer(), openFakeCluster()]);
  const repository = await server.createRepository('shop');
  commit = await commitAsPerson(repository.path, {
    'deploy.sh': SCRIPT,
    'deploy/all.yaml': MANIFESTS,
    'deploy/README.md': 'not a manifest',
    'strange/unknown.yaml': 'apiVersion: example.com/v1\nkind: Widget\nmetadata: { name: w }\n',
    'strange/broken.yaml': 'a: [',
  });
  stack = await openTestStack();
  project = await stack.createProject({
    repositoryUrl: repository.url,
    settings: { deployManifests: ['deploy/**'] },
  });
  const variables = [{ name: 'FLY_TOKEN', value: SECRET }];
  await setDeploy('production', { kubeconfig: cluster.kubeconfig, variables });
  await setDeploy('staging', { variables });
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await Promise.all([server.close(), cluster[Symbol.asyncDispose]()]);
});
afterEach(() => {
  cluster.refuse = () => null;
  cluster.status = () => ({ observedGeneration: 1, updatedReplicas: 1, replicas: 1, availableReplicas: 1 });
});

async function setDeploy(
  environment: string,
  given: { kubeconfig?: string; variables?: { name: string; value: string }[] },
) {
  const { orchestrator } = stack;
  const input = { projectId: project.id, name: `deploy-${environment}`, deploy: { environment, ...given } };
  await orchestrator.db.transaction().execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
}

async function deploy(payload: object, environment = 'production') {
  const id = await enqueueRun(stack, project, { type: 'deploy', payload: { environment, ...payload } });
  return finishedTask(stack, id);
}

async function withCommand<T>(argument: string, work: () => Promise<T>): Promise<T> {
  const set = (settings: object) =>
    stack.orchestrator.db
      .updateTable('projects')
      .set({ settings: JSON.stringify(settings) })
      .where('id', '=', project.id)
      .execute();
  await set({ ...project.settings, deployCommand: ['sh', 'deploy.sh', argument] });
  try {
    return await work();
  } finally {
    await set(project.settings);
  }
}

describe.each(WORKER_PLACES)('a worker %s', (_where, openPlaces) => {
  const opened = new AsyncDisposableStack();
  beforeAll(async () => {
    const places = opened.use(await openPlaces(stack));
    opened.use(await places.openWorker(2));
  });
  afterAll(() => opened.disposeAsync());

  test('a deploy command has the credential of its environment, which its result does not show', async () => {
    const deployed = await withCommand('line', () => deploy({ branch: 'main' }));
    expect(deployed).toMatchObject({ status: 'COMPLETED', concurrencyKey: 'deploy:production' });
    expect(deployed.result).toMatchObject({ status: 'DEPLOYED', url: 'https://shop.example/', commit, exitCode: 0 });
    expect(deployed.result.output).toContain('a kubeconfig\nfor me only\nproduction has [redacted] at');
    expect(JSON.stringify(deployed.result)).not.toContain(SECRET);
    const fromFile = await withCommand('file', () => deploy({}));
    expect(fromFile.result.url).toBe('https://shop.example/from-file');
    const failed = await withCommand('fail', () => deploy({}, 'elsewhere'));
    expect(failed).toMatchObject({
      status: 'FAILED',
      failure: { reason: 'COMMAND_FAILED: sh ended with exit code 3.', retryable: false },
      result: { status: 'FAILED', url: null, exitCode: 3, output: expect.stringContaining('elsewhere has  at') },
    });
    const told = await withCommand('fail', () => deploy({}, 'staging'));
    expect(told.result.output).toContain('staging has [redacted] at');
  });

  test('manifests are applied in the right order, and are deployed when they are rolled out', async () => {
    cluster.status = (_kind, looks) => ({
      observedGeneration: looks > 1 ? 1 : 0,
      updatedReplicas: 1,
      replicas: 1,
      availableReplicas: 1,
    });
    const deployed = await deploy({ commit });
    expect(deployed.failure).toBeNull();
    expect(deployed.result).toMatchObject({
      status: 'DEPLOYED',
      url: 'https://shop.example/',
      applied: 4,
      objects: [
        { kind: 'Namespace', name: 'front', namespace: null, status: 'APPLIED' },
        { kind: 'ConfigMap', name: 'settings', namespace: 'shop', status: 'APPLIED' },
        { kind: 'Deployment', name: 'web', namespace: 'front', status: 'READY' },
        { kind: 'Ingress', name: 'web', namespace: 'front', status: 'APPLIED' },
      ],
    });
    const applied = cluster.objects.get('/api/v1/namespaces/shop/configmaps/settings');
    expect(applied).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'settings', namespace: 'shop' },
      data: { colour: 'blue' },
    });
    const patches = cluster.api.requests.filter((request) => request.startsWith('PATCH'));
    expect(patches.every((request) => request.includes('fieldManager=slipway&force=false'))).toBe(true);
  });
});

describe('what goes wrong', () => {
  beforeAll(async () => {
    await stack.openWorker(2);
  });

  test.each<[string, object, Partial<FakeCluster>, string]>([
    [
      'what the cluster refuses',
      {},
      { refuse: ({ kind }) => (kind === 'ConfigMap' ? { code: 422, message: 'spec.colour is not known' } : null) },
      'DEPLOY_FAILED: ConfigMap settings: spec.colour is not known',
    ],
    [
      'a roll-out that fails',
      {},
      {
        status: () => ({
          observedGeneration: 1,
          conditions: [{ type: 'Progressing', reason: 'ProgressDeadlineExceeded', message: 'stuck' }],
        }),
      },
      'DEPLOY_FAILED: Deployment web: stuck',
    ],
    [
      'a roll-out without an end',
      { timeoutSeconds: 1 },
      { status: () => ({ observedGeneration: 1 }) },
      'TIMEOUT: Deployment web was not ready in time: 0 of 1 replicas are updated.',
    ],
    [
      'a kind that the cluster does not know',
      { manifests: ['strange/unknown.yaml'] },
      {},
      'DEPLOY_FAILED: Widget w: The cluster knows no Widget',
    ],
    ['what is no YAML', { manifests: ['strange/*.yaml'] }, {}, 'DEPLOY_FAILED: strange/broken.yaml is not YAML'],
    ['no manifests', { manifests: ['nothing/**'] }, {}, 'DEPLOY_FAILED: There are no manifests in nothing/**.'],
  ])('a deployment fails, and says why: %s', async (_what, payload, misbehaviour, reason) => {
    Object.assign(cluster, misbehaviour);
    const task = await deploy(payload);
    expect(task).toMatchObject({ status: 'FAILED', failures: 1, failure: { reason: expect.stringContaining(reason) } });
    if (reason.includes('colour')) {
      const statuses = (task.result.objects as { kind: string; status: string }[]).map(
        ({ kind, status }) => `${kind} ${status}`,
      );
      expect(statuses).toEqual(['ConfigMap FAILED', 'Namespace APPLIED', 'Deployment SKIPPED', 'Ingress SKIPPED']);
    }
  });

  test('an environment without a kubeconfig has no cluster to apply anything to', async () => {
    expect((await deploy({}, 'staging')).failure?.reason).toContain(
      'no credential with a kubeconfig for the environment staging',
    );
  });
});

const kubeconfig = (user: object, more: object = {}) =>
  JSON.stringify({
    clusters: [{ name: 'c', cluster: { server: 'https://cluster.example:6443', ...more } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });

test.each([
  ['a program', kubeconfig({ exec: { command: 'sh', args: ['-c', 'id'] } }), 'a credential plugin'],
  ['a provider', kubeconfig({ token: FAKE_TOKEN, 'auth-provider': { name: 'gcp' } }), 'an auth provider'],
  ['a token file', kubeconfig({ tokenFile: '/var/run/secrets/token' }), 'a token file'],
  ['the file of a key', kubeconfig({ 'client-key': '/etc/key', token: FAKE_TOKEN }), 'the path of a key'],
  [
    'the file of a certificate',
    kubeconfig({ token: FAKE_TOKEN }, { 'certificate-authority': '/etc/ca' }),
    'the path of a certificate',
  ],
  ['a proxy', kubeconfig({ token: FAKE_TOKEN }, { 'proxy-url': 'http://evil' }), 'a proxy'],
  ['another scheme', kubeconfig({ token: FAKE_TOKEN }, { server: 'file:///etc/passwd' }), 'an https address'],
  ['nobody', kubeconfig({}), 'must have a token'],
  ['aliases without an end', `a: &a [1]\nb: [${'*a,'.repeat(100)}]`, 'is not YAML'],
  ['no kubeconfig', 'hello', 'must have current-context'],
])('a kubeconfig that names %s is refused, and is not quoted', async (_what, file, problem) => {
  const refused = await setDeploy('other', { kubeconfig: file }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(InvalidInputError);
  expect(String(refused)).toContain(problem);
  expect(String(refused)).not.toContain(FAKE_TOKEN);
});

test('hostile manifests end in a sentence', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'.split('').map((name, index) => `${name}: &${name} [${`*${'abcdefghi'[index]},`.repeat(9)}]`),
  ].join('\n');
  expect(() => parseManifests('bomb.yaml', bomb)).toThrow('more than 200000 values');
  expect(() => parseManifests('self.yaml', 'a: &a [*a]')).toThrow(/not YAML|nested/);
  expect(() => parseManifests('path.yaml', 'apiVersion: v1/../..\nkind: Pod\nmetadata: {name: x}')).toThrow(
    'apiVersion',
  );
  expect(() => parseManifests('name.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {generateName: x}')).toThrow(
    'without a name',
  );
  expect(() => parseManifests('text.yaml', 'just text')).toThrow('without apiVersion');
});

test.each<[string, object, object, string]>([
  ['apps/v1 Deployment', { replicas: 3 }, { updatedReplicas: 3, replicas: 4, availableReplicas: 3 }, 'waiting'],
  ['apps/v1 Deployment', { replicas: 0 }, {}, 'ready'],
  [
    'apps/v1 StatefulSet',
    { replicas: 2 },
    { readyReplicas: 2, updatedReplicas: 1, updateRevision: 'b', currentRevision: 'a' },
    'waiting',
  ],
  [
    'apps/v1 StatefulSet',
    { replicas: 2 },
    { readyReplicas: 2, updatedReplicas: 2, updateRevision: 'b', currentRevision: 'b' },
    'ready',
  ],
  ['apps/v1 DaemonSet', {}, { desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 1 }, 'waiting'],
  ['batch/v1 Job', {}, { conditions: [{ type: 'Complete', status: 'True' }] }, 'ready'],
  ['batch/v1 Job', {}, { conditions: [{ type: 'Failed', status: 'True', message: 'no' }] }, 'failed'],
])('the roll-out of a %s', (what, spec, status, state) => {
  const [apiVersion = '', kind = ''] = what.split(' ');
  expect(
    judgeOf({ apiVersion, kind })?.({
      spec: spec as Record<string, unknown>,
      status: status as Record<string, unknown>,
    }).state,
  ).toBe(state);
});
