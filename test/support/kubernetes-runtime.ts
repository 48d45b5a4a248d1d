import { readConfig } from '../../src/config/config.ts';
import type { KubernetesRuntimeOptions } from '../../src/runtimes/kubernetes/kubernetes.ts';
import type { TestNamespace } from './cluster.ts';
import { AGENT_IMAGE, SLIPWAY_IMAGE } from './cluster.ts';

/** Small pods of images that are on the node. */
export function runtimeOptions(
  { kubeconfig, namespace }: Pick<TestNamespace, 'kubeconfig' | 'namespace'>,
  changes: Partial<KubernetesRuntimeOptions> = {},
): KubernetesRuntimeOptions {
  const pod = {
    imagePullPolicy: 'Never',
    resources: {
      requests: { cpu: '50m', memory: '64Mi', 'ephemeral-storage': '64Mi' },
      limits: { cpu: '2', memory: '2Gi', 'ephemeral-storage': '2Gi' },
    },
    gitResources: {
      requests: { cpu: '50m', memory: '64Mi', 'ephemeral-storage': '64Mi' },
      limits: { cpu: '2', memory: '1Gi', 'ephemeral-storage': '2Gi' },
    },
  };
  const config = readConfig({ SLIPWAY_KUBERNETES_POD: JSON.stringify(pod) });
  return {
    kubeconfig,
    namespace,
    mode: 'pod',
    instance: 'test',
    image: AGENT_IMAGE,
    toolsImage: SLIPWAY_IMAGE,
    startSeconds: 60,
    pod: config.kubernetesPod,
    warm: [],
    sandbox: 'false',
    onError: (error) => console.log(`kubernetes: ${String(error)}`),
    ...changes,
  };
}
