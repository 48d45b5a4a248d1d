/**
 * The cluster that KUBECONFIG names, for the tests in test/kubernetes. A file of tests opens a namespace of its own:
 *
 *   describe.skipIf(CLUSTER_PROBLEM)('…', () => {
 *     const cluster = openTestNamespace();   // in beforeAll; disposed of in afterAll
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { waitFor } from './wait-for.ts';

export interface TestNamespace extends AsyncDisposable {
  /** Path of the kubeconfig file. */
  readonly kubeconfig: string;
  readonly namespace: string;
  /** kubectl in this namespace, its stdout. Rejects with kubectl's own words. */
  kubectl(args: readonly string[], options?: { readonly input?: string }): Promise<string>;
  /** `kubectl apply` of one or several manifests. */
  apply(...manifests: readonly object[]): Promise<void>;
}

/** Debian with bash, git and curl, and no Node. Pods name it with `imagePullPolicy: Never`. */
export const AGENT_IMAGE = 'docker.io/local/agent:1';

/** Slipway itself, made by `deploy/build-image` and imported into the cluster's nodes. */
export const SLIPWAY_IMAGE = process.env.SLIPWAY_TEST_IMAGE ?? 'docker.io/local/slipway:ci';

/** Real agents, made by `deploy/build-image` of deploy/agent.Dockerfile and imported in the same way; may be missing. */
export const AGENTS_IMAGE = process.env.SLIPWAY_TEST_AGENTS_IMAGE ?? 'docker.io/local/slipway-agent:ci';

/** This machine, as pods see it, and an address of its own. */
export const HOST_FROM_PODS = process.env.SLIPWAY_TEST_HOST ?? '10.244.0.1';

const KUBECONFIG = process.env.KUBECONFIG ?? '';
const CALL_MS = 60_000;

/** Why there is no cluster to test with; empty when there is one. One that is named has to answer. */
export const CLUSTER_PROBLEM: string = KUBECONFIG === '' ? 'KUBECONFIG names no cluster.' : '';
if (CLUSTER_PROBLEM !== '') console.log(`Tests on Kubernetes are skipped: ${CLUSTER_PROBLEM}`);

/** A namespace with a random name, until it is disposed of. */
export async function openTestNamespace(prefix = 'slipway-test'): Promise<TestNamespace> {
  const namespace = `${prefix}-${randomBytes(4).toString('hex')}`;
  await runKubectl(['create', 'namespace', namespace]);
  const kubectl: TestNamespace['kubectl'] = (args, options) =>
    runKubectl(['--namespace', namespace, ...args], options?.input);
  const hasAccount = () => kubectl(['get', 'serviceaccount', 'default', '--ignore-not-found', '-o', 'name']);
  await waitFor(hasAccount, { everyMs: 100, what: 'the service account of the namespace' });
  return {
    kubeconfig: KUBECONFIG,
    namespace,
    kubectl,
    async apply(...manifests) {
      const list = { apiVersion: 'v1', kind: 'List', items: manifests };
      await kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
    },
    async [Symbol.asyncDispose]() {
      await kubectl(['delete', 'pods', '--all', '--grace-period=1', '--wait=false']);
      await runKubectl(['delete', 'namespace', namespace, '--wait=false']);
    },
  };
}

/** kubectl in the namespace that the arguments name. Rejects with its own words. */
export async function runKubectl(args: readonly string[], input = ''): Promise<string> {
  const running = promisify(execFile)('kubectl', ['--kubeconfig', KUBECONFIG, ...args], {
    timeout: CALL_MS,
    maxBuffer: 64 * 1024 ** 2,
  });
  running.child.stdin?.end(input);
  return (await running).stdout;
}
