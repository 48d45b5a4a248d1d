/** Can builds run in pods of the cluster that the configuration names? */
import type { Config } from '../config/config.ts';
import { kubernetesConnection } from '../config/kubernetes-runtime.ts';
import { type KubeApi, openKubeApi } from '../runtimes/kubernetes/kube-api.ts';
import { KubeError } from '../runtimes/kubernetes/kube-error.ts';
import { checkAccess } from './doctor-kubernetes-access.ts';
import { networkFinding, readNamespace, securityFinding } from './doctor-kubernetes-namespace.ts';
import { checkNeighbours } from './doctor-kubernetes-neighbours.ts';
import { checkPod, type PodReport } from './doctor-kubernetes-pod.ts';
import { checkSandboxes } from './doctor-kubernetes-sandbox.ts';
import { type Finding, finding, messageOf } from './finding.ts';
import type { Io } from './io.ts';

export interface KubernetesCheck {
  readonly config: Config;
  readonly io: Pick<Io, 'signals'>;
  /** Told on the way: a pod may take minutes to start. */
  note(message: string): void;
}

const REACH_MS = 15_000;
const CHOOSE = 'Set KUBECONFIG and SLIPWAY_KUBERNETES_CONTEXT to a cluster that runs and that this machine may reach.';
const RENEW = 'Log in again, or take another kubeconfig file: `kubectl auth can-i --list` tries the same credentials.';

/**
 * Asks, and makes one pod, which it removes again, also at Ctrl-C: then it throws a CliError, which says what a second Ctrl-C
 * may have left. Each question has a deadline; a pod may take SLIPWAY_KUBERNETES_START_SECONDS to start, three minutes to be
 * looked at, and as long as its node takes to end it.
 */
export async function checkKubernetes(check: KubernetesCheck): Promise<Finding[]> {
  const { config } = check;
  const images = findMissingImages(config);
  let api: KubeApi;
  try {
    api = await openKubeApi(kubernetesConnection(config));
  } catch (error) {
    return [finding('fail', 'cluster', messageOf(error), CHOOSE), ...images];
  }
  await using opened = api;
  const cluster = await checkCluster(opened);
  if (cluster.level === 'fail') return [cluster, ...images];
  const namespace = await readNamespace(opened);
  const access = await checkAccess(opened, namespace.account);
  const isReady = images.length === 0 && access.isEnough;
  const pod = isReady ? await checkPod({ ...check, api: opened }) : skipPod();
  const { reach } = pod;
  return [
    cluster,
    securityFinding(opened.namespace, namespace),
    ...access.findings,
    ...(await checkNeighbours(opened, config)),
    ...(await checkSandboxes(opened, config)),
    ...images,
    ...pod.findings,
    networkFinding({ namespace: opened.namespace, policies: namespace.policies, reach }),
  ];
}

function findMissingImages({ kubernetesImage, kubernetesToolsImage }: Config): Finding[] {
  const wanted = [
    ['SLIPWAY_KUBERNETES_IMAGE', kubernetesImage, 'an image in which agents run: glibc, a shell, and their programs'],
    ['SLIPWAY_KUBERNETES_TOOLS_IMAGE', kubernetesToolsImage, "Slipway's own image (deploy/Dockerfile)"],
  ] as const;
  return wanted.flatMap(([variable, image, what]) =>
    image === undefined ? [finding('fail', 'image', `${variable} is not set`, `Set it to ${what}.`)] : [],
  );
}

async function checkCluster(api: KubeApi): Promise<Finding> {
  const place = `${api.server}, context ${api.context}, namespace ${api.namespace}`;
  try {
    const { gitVersion } = await api.version({ deadlineMs: REACH_MS });
    return finding('ok', 'cluster', `Kubernetes ${gitVersion ?? '(it does not say which)'} at ${place}`);
  } catch (error) {
    const status = error instanceof KubeError ? error.status : null;
    if (status === 403) return finding('ok', 'cluster', `${place}; it does not tell its version`);
    return finding('fail', 'cluster', `${place}: ${messageOf(error)}`, status === 401 ? RENEW : CHOOSE);
  }
}

function skipPod(): PodReport {
  const remedy = 'Do what is said of permissions and images, then run this again.';
  return { findings: [finding('warn', 'pod', 'none was made to try: something is missing', remedy)], reach: null };
}
