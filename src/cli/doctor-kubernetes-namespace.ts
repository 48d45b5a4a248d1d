/** What is around the pods of builds: Pod Security and network policies of their namespace, as far as we may see them. */
import type { KubeApi } from '../runtimes/kubernetes/kube-api.ts';
import { KubeError } from '../runtimes/kubernetes/kube-error.ts';
import { type Finding, finding } from './finding.ts';

export interface NamespaceFacts {
  readonly isMissing: boolean;
  /** Null when we may not read it. */
  readonly labels: Readonly<Record<string, string>> | null;
  /** How many NetworkPolicies there are; null when we may not read them. */
  readonly policies: number | null;
  /** What Kubernetes calls us, such as `system:serviceaccount:slipway:slipway-worker`; null when it did not say. */
  readonly account: string | null;
}

/** What a pod with the label slipway.dev/network=none has tried to connect to, as HOST:PORT. */
export interface Reach {
  readonly tried: readonly string[];
  readonly reached: readonly string[];
}

const READ_MS = 15_000;
const ENFORCE = 'pod-security.kubernetes.io/enforce';
const POLICIES = 'deploy/kustomize/base/builds/network.yaml';

/** Never rejects: the shipped Role may read none of it. */
export async function readNamespace(api: KubeApi): Promise<NamespaceFacts> {
  const at = ['namespaces', api.namespace];
  const [namespace, policies] = await Promise.all([
    read<{ metadata?: { labels?: Record<string, string> } }>(api, ['api', 'v1', ...at]),
    read<{ items?: readonly unknown[] }>(api, ['apis', 'networking.k8s.io', 'v1', ...at, 'networkpolicies']),
  ]);
  return {
    isMissing: namespace.error?.status === 404,
    labels: namespace.value && (namespace.value.metadata?.labels ?? {}),
    policies: policies.value && (policies.value.items?.length ?? 0),
    account: accountIn(policies.error) ?? accountIn(namespace.error),
  };
}

async function read<T>(api: KubeApi, segments: readonly string[]) {
  try {
    return { value: await api.request<T>({ method: 'GET', segments, deadlineMs: READ_MS }), error: null };
  } catch (error) {
    return { value: null, error: error instanceof KubeError ? error : null };
  }
}

/** `… is forbidden: User "NAME" cannot …` */
function accountIn(error: KubeError | null): string | null {
  return error?.status === 403 ? (/User "([^"]+)" cannot/.exec(error.message)?.[1] ?? null) : null;
}

export function securityFinding(namespace: string, { isMissing, labels }: NamespaceFacts): Finding {
  const name = 'namespace';
  if (isMissing) {
    const remedy = `kubectl apply -k deploy/kustomize/base/builds, or kubectl create namespace ${namespace}`;
    return finding('fail', name, `${namespace} does not exist`, remedy);
  }
  if (labels === null) return finding('ok', name, `${namespace}; its labels are not for this account to read`);
  const level = labels[ENFORCE];
  if (level === 'restricted') return finding('ok', name, `${namespace}, Pod Security ${level}`);
  const remedy = `kubectl label namespace ${namespace} --overwrite ${ENFORCE}=restricted (Kubernetes 1.23 or newer)`;
  const message = level === undefined ? 'no Pod Security is enforced' : `Pod Security is only ${level}`;
  return finding('warn', name, `${namespace}: ${message}`, remedy);
}

/** Whether builds whose network is NONE are kept from it. `reach`: null when there was no pod to try. */
export function networkFinding(facts: {
  readonly namespace: string;
  readonly policies: number | null;
  readonly reach: Reach | null;
}): Finding {
  const { namespace, policies, reach } = facts;
  const apply = `kubectl apply -n ${namespace} -f ${POLICIES}, with the addresses of your git hosts and models added.`;
  if (reach && reach.reached.length > 0) {
    const which = policies === null ? 'no NetworkPolicy' : `none of ${policies} NetworkPolicies in ${namespace}`;
    const message = `${which} keeps a pod without network from ${list(reach.reached)}`;
    const remedy = `${apply} Where they are there already, the network plugin does not enforce them: use one that does.`;
    return finding('warn', 'network', message, remedy);
  }
  const tried = reach === null ? 'no pod has tried them' : `a pod without network does not reach ${list(reach.tried)}`;
  if (policies === 0) return finding('warn', 'network', `there is no NetworkPolicy in ${namespace}; ${tried}`, apply);
  const seen = policies === null ? 'this account may not see NetworkPolicies' : `${policies} NetworkPolicies`;
  return finding('ok', 'network', `${seen}; ${tried}`);
}

function list(addresses: readonly string[]): string {
  return addresses.length === 0 ? 'the API server, whose address it does not know' : addresses.join(', ');
}
