/** With the shipped Role a worker can do its work and nothing else; the API can do nothing. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SANDBOX_VERBS } from '../../src/cli/doctor-kubernetes-sandbox.ts';
import { AGENT_IMAGE, CLUSTER_PROBLEM, openTestNamespace, type TestNamespace } from '../support/cluster.ts';
import { type Manifest, moveTo, renderOverlay, renderWith } from '../support/manifests.ts';
import { waitFor } from '../support/wait-for.ts';

interface Rules {
  readonly resourceRules: { verbs: string[]; apiGroups: string[]; resources: string[] }[];
}

/** What every account may: ask about itself. */
const ABOUT_ITSELF = ['selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews'];
const FORBIDDEN = /forbidden|Forbidden|cannot impersonate/;

describe.skipIf(CLUSTER_PROBLEM)('the rights of the shipped accounts', () => {
  let control: TestNamespace;
  let builds: TestNamespace;
  let worker: string;
  let api: string;

  beforeAll(async () => {
    control = await openTestNamespace('slipway-control');
    builds = await openTestNamespace('slipway-builds');
    const shipped = await renderOverlay('kubernetes-1.20');
    const of = (...kinds: string[]) => shipped.filter(({ kind }) => kinds.includes(kind));
    await control.apply(...moveTo(control.namespace, of('ServiceAccount')));
    await builds.apply(...moveTo(builds.namespace, of('Role')));
    const pointed = of('RoleBinding').map((binding) => withSubjectsIn(control.namespace, binding));
    await builds.apply(...moveTo(builds.namespace, pointed));
    const tokenOf = async (account: string) => (await control.kubectl(['create', 'token', account])).trim();
    [worker, api] = await Promise.all([tokenOf('slipway-worker'), tokenOf('slipway-api')]);
  });
  afterAll(async () => {
    await builds[Symbol.asyncDispose]();
    await control[Symbol.asyncDispose]();
  });

  const asWorker = (args: readonly string[], options?: { readonly input?: string }) =>
    builds.kubectl(['--token', worker, ...args], options);

  /** All that the account may in a namespace, besides asking about itself. */
  async function rulesOf(token: string, namespace: string): Promise<Rules['resourceRules']> {
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } };
    const path = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews';
    const input = JSON.stringify(review);
    const answer = await control.kubectl(['--token', token, 'create', '--raw', path, '-f', '-'], { input });
    const { resourceRules } = (JSON.parse(answer) as { status: Rules }).status;
    return resourceRules.filter(({ resources }) => !resources.every((name) => ABOUT_ITSELF.includes(name)));
  }

  test('a worker makes, finds, changes, enters, reads and removes pods', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'one', labels: { 'app.kubernetes.io/name': 'slipway' } },
      spec: {
        restartPolicy: 'Never',
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'agent',
            image: AGENT_IMAGE,
            imagePullPolicy: 'Never',
            command: ['/bin/sh', '-c', 'echo here; exec sleep 600'],
          },
        ],
      },
    };
    await asWorker(['create', '--validate=false', '-f', '-'], { input: JSON.stringify(pod) });
    const phase = async () => asWorker(['get', 'pod', 'one', '-o', 'jsonpath={.status.phase}']);
    await waitFor(async () => (await phase()) === 'Running', { everyMs: 250, what: 'the pod' });
    expect(await asWorker(['get', 'pods', '-l', 'app.kubernetes.io/name=slipway', '-o', 'name'])).toBe('pod/one\n');
    const watched = `/api/v1/namespaces/${builds.namespace}/pods?watch=1&timeoutSeconds=1`;
    expect(await asWorker(['get', '--raw', watched])).toContain('"type":"ADDED"');
    await asWorker([
      'patch',
      'pod',
      'one',
      '--type=merge',
      '-p',
      '{"metadata":{"labels":{"slipway.dev/attempt":"2"}}}',
    ]);
    expect(await asWorker(['exec', 'one', '--', 'echo', 'inside'])).toBe('inside\n');
    expect(await asWorker(['logs', 'one'])).toBe('here\n');
    await asWorker(['delete', 'pod', 'one', '--wait=false']);
  });

  test('and that is all it may', async () => {
    const allowed = await rulesOf(worker, builds.namespace);
    const flat = allowed.flatMap(({ verbs, resources }) => resources.map((name) => `${name}: ${[...verbs].sort()}`));
    expect(flat.sort()).toEqual(['pods/exec: create,get', 'pods/log: get', 'pods: create,delete,get,list,patch,watch']);
    expect(allowed.filter(({ apiGroups }) => apiGroups.join() !== '')).toEqual([]);
    for (const namespace of [control.namespace, 'default', 'kube-system']) {
      expect(await rulesOf(worker, namespace)).toEqual([]);
    }
  });

  test.each([
    'get secrets',
    'get configmaps',
    'get serviceaccounts',
    'get nodes',
    'get namespaces',
    'get clusterroles',
    'get pods --namespace=kube-system',
    'get pods --all-namespaces',
    'create token default',
    'create rolebinding mine --role=slipway-worker --serviceaccount=default:default',
    'create secret generic mine',
    'get pods --as=admin --as-group=system:masters',
  ])('a worker is refused: %s', async (command) => {
    await expect(asWorker(command.split(' '))).rejects.toThrow(FORBIDDEN);
  });

  test('with the component agent-sandbox, Sandboxes as well, and nothing else', async () => {
    const shipped = (await renderWith('agent-sandbox')).filter(
      ({ metadata }) => metadata.name === 'slipway-worker-sandboxes',
    );
    await using more = await openTestNamespace('slipway-builds');
    await more.apply(
      ...moveTo(
        more.namespace,
        shipped.filter(({ kind }) => kind === 'Role'),
      ),
    );
    const bindings = shipped.filter(({ kind }) => kind === 'RoleBinding');
    await more.apply(
      ...moveTo(
        more.namespace,
        bindings.map((binding) => withSubjectsIn(control.namespace, binding)),
      ),
    );
    const allowed = await waitFor(async () => {
      const rules = await rulesOf(worker, more.namespace);
      return rules.length > 0 && rules;
    });
    expect(allowed).toMatchObject([{ apiGroups: ['agents.x-k8s.io'], resources: ['sandboxes'], verbs: SANDBOX_VERBS }]);
    expect(allowed).toHaveLength(1);
  });

  test('the API may do nothing at all', async () => {
    for (const namespace of [builds.namespace, control.namespace, 'kube-system']) {
      expect(await rulesOf(api, namespace)).toEqual([]);
    }
    await expect(builds.kubectl(['--token', api, 'get', 'pods'])).rejects.toThrow(FORBIDDEN);
  });
});

function withSubjectsIn(namespace: string, binding: Manifest): Manifest {
  return { ...binding, subjects: (binding.subjects ?? []).map((subject) => ({ ...subject, namespace })) };
}
