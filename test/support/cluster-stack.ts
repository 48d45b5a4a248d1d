/** The whole stack in this process, with its builds in pods of a test's namespace, and a git server that pods reach. */

import { AGENT_IMAGE, HOST_FROM_PODS, SLIPWAY_IMAGE, type TestNamespace } from './cluster.ts';
import { type GitServer, startGitServer } from './git-server.ts';
import { openTestStack, type TestStack } from './orchestrator.ts';
import { openTcpProxy } from './tcp-proxy.ts';

export interface ClusterStack extends AsyncDisposable {
  readonly stack: TestStack;
  readonly git: GitServer;
  /** A URL of this machine's loopback, as pods reach it. */
  fromPods(url: string): string;
}

const RESOURCES = (memory: string) => ({
  requests: { cpu: '50m', memory: '64Mi', 'ephemeral-storage': '64Mi' },
  limits: { cpu: '2', memory, 'ephemeral-storage': '1Gi' },
});
const POD = { imagePullPolicy: 'Never', resources: RESOURCES('1Gi'), gitResources: RESOURCES('1Gi') };

/** The options of whatever runs builds in this namespace. */
export function clusterEnvironment({
  kubeconfig,
  namespace,
}: Pick<TestNamespace, 'kubeconfig' | 'namespace'>): Readonly<Record<string, string>> {
  return {
    SLIPWAY_LOCAL_REPOSITORIES: '',
    SLIPWAY_RUNTIME: 'kubernetes',
    KUBECONFIG: kubeconfig,
    SLIPWAY_KUBERNETES_NAMESPACE: namespace,
    SLIPWAY_KUBERNETES_IMAGE: AGENT_IMAGE,
    SLIPWAY_KUBERNETES_TOOLS_IMAGE: SLIPWAY_IMAGE,
    SLIPWAY_KUBERNETES_POD: JSON.stringify(POD),
    SLIPWAY_KUBERNETES_START_SECONDS: '60',
  };
}

/** `gitPassword`: what the git server asks for; without one it lets everybody in. */
export async function openClusterStack(
  cluster: Pick<TestNamespace, 'kubeconfig' | 'namespace'>,
  environment: Readonly<Record<string, string>> = {},
  options: { readonly gitPassword?: string } = {},
): Promise<ClusterStack> {
  await using opened = new AsyncDisposableStack();
  const { gitPassword: password } = options;
  const git = opened.use(await startGitServer(password === undefined ? {} : { password }));
  const proxy = opened.use(await openTcpProxy(Number(new URL(git.url).port), HOST_FROM_PODS));
  const stack = opened.use(await openTestStack({ ...clusterEnvironment(cluster), ...environment }));
  const resources = opened.move();
  return {
    stack,
    git,
    fromPods: (url) => url.replace(git.url, `http://${HOST_FROM_PODS}:${proxy.port}`),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
