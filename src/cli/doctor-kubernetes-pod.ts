/** A pod as builds have them, made to try it out. */
import { randomUUID } from 'node:crypto';
import { kubernetesOptions } from '../config/kubernetes-runtime.ts';
import type { KubeApi } from '../runtimes/kubernetes/kube-api.ts';
import { ownSelector } from '../runtimes/kubernetes/pod-layout.ts';
import { lossOf } from '../runtimes/kubernetes/pod-loss.ts';
import { podSpec } from '../runtimes/kubernetes/pod-spec.ts';
import { viewOfPod } from '../runtimes/kubernetes/pod-view.ts';
import { openPodWatch } from '../runtimes/kubernetes/pod-watch.ts';
import { Pods } from '../runtimes/kubernetes/pods.ts';
import type { KubernetesCheck } from './doctor-kubernetes.ts';
import { inspectPod } from './doctor-kubernetes-inside.ts';
import type { Reach } from './doctor-kubernetes-namespace.ts';
import { CliError, EXIT } from './exit-code.ts';
import { type Finding, finding, messageOf } from './finding.ts';
import { formatDuration } from './format.ts';
import { aborted, listenForStop, type StopSignals } from './stop-signals.ts';

export interface PodReport {
  readonly findings: readonly Finding[];
  /** Null when no pod came so far. */
  readonly reach: Reach | null;
}

interface Probe {
  readonly api: KubeApi;
  readonly pods: Pods;
  readonly name: string;
  readonly options: ReturnType<typeof kubernetesOptions>;
  /** Those of the agents. */
  readonly programs: readonly string[];
  readonly stop: StopSignals;
  readonly note: (message: string) => void;
}

/** No worker takes pods of this instance for its own. */
export const DOCTOR = 'slipway-doctor';
const SELECTOR = ownSelector(DOCTOR);
/** After its start; Kubernetes ends a pod whose doctor was killed. */
const INSPECT_SECONDS = 180;
const NO_REPORT: PodReport = { findings: [], reach: null };

/** Throws CliError after Ctrl-C, when the pod is gone, or at once at a second one. */
export async function checkPod(check: KubernetesCheck & { readonly api: KubeApi }): Promise<PodReport> {
  const { api, config, io, note } = check;
  using stop = listenForStop(io);
  // What it meets is met by our own calls, too, and told by them.
  await using watch = openPodWatch({ api, labelSelector: SELECTOR, onError: () => {} });
  const name = `${DOCTOR}-${randomUUID().slice(0, 8)}`;
  const programs = [config.claudePath, config.codexPath, config.geminiPath, config.opencodePath];
  const options = kubernetesOptions(config);
  const probe = { api, pods: new Pods({ api, watch, instance: DOCTOR }), name, options, programs, stop, note };
  // A pod that did not start is being removed then, which may take minutes.
  const report = await Promise.race([tryPod(probe), aborted(stop.second).then(() => NO_REPORT)]);
  const left = await removePods(probe);
  if (stop.first.aborted) {
    const hints = left.flatMap(({ message, remedy }) => [message, ...(remedy === null ? [] : [remedy])]);
    throw new CliError('The check was given up.', { exitCode: EXIT.cancelled, code: 'CANCELLED', hints });
  }
  return { ...report, findings: [...report.findings, ...left] };
}

async function tryPod(probe: Probe): Promise<PodReport> {
  const { api, name, options, programs, note, stop } = probe;
  const startedAt = performance.now();
  try {
    note(`Starting the pod ${name}, which may take up to ${options.startSeconds} s …`);
    const spec = podOf(probe);
    await probe.pods.ensure({ pod: spec, startMs: options.startSeconds * 1_000, signal: stop.first, onWait: note });
  } catch (error) {
    return { findings: [explainStart(probe, messageOf(error))], reach: null };
  }
  const message = `started in ${formatDuration(performance.now() - startedAt)}: ${options.image}`;
  const inside = await inspectPod({ api, pod: name, settings: options.pod, programs, signal: stop.first });
  return { ...inside, findings: [finding('ok', 'pod', message), ...inside.findings] };
}

function podOf({ name, options }: Probe) {
  const spec = podSpec({
    ...{ name, kind: 'build', instance: DOCTOR, buildId: null, projectId: null, attemptNo: null },
    ...{ image: options.image, toolsImage: options.toolsImage, cpu: null, memory: null, storage: null },
    network: 'none',
    deadlineSeconds: options.startSeconds + INSPECT_SECONDS,
    settings: options.pod,
  });
  return { ...spec, metadata: { ...spec.metadata, name, labels: spec.metadata?.labels ?? {} } };
}

/** Its own, and those of doctors that were killed. */
async function removePods(probe: Probe): Promise<Finding[]> {
  const { api, name, stop } = probe;
  const removed = removeUseless(probe).then(() => null, messageOf);
  const givenUp = aborted(stop.second).then(() => 'nobody has waited for its end.');
  const problem = await Promise.race([removed, givenUp]);
  if (problem === null) return [];
  const remedy = `kubectl -n ${api.namespace} delete pod ${name}`;
  return [finding('warn', 'pod', `The pod ${name} may still be there: ${problem}`, remedy)];
}

async function removeUseless({ api, pods, name }: Probe): Promise<void> {
  const { items } = await api.listPods({ labelSelector: SELECTOR });
  const there = items.flatMap((pod) => viewOfPod(pod) ?? []);
  const useless = there.filter((pod) => pod.name === name || lossOf(pod) !== null);
  await Promise.all(useless.map((pod) => pods.remove(pod)));
}

const NEEDS = 'resources, nodeSelector, tolerations, runtimeClassName and priorityClassName in SLIPWAY_KUBERNETES_POD';

/** In Kubernetes' own words, with what to do about them. */
function explainStart({ api, name, options }: Probe, message: string): Finding {
  const [, container, reason = ''] = /^The container (\w+) (?:does not start: (\w+))?/.exec(message) ?? [];
  if (/Image|Registry/.test(reason)) {
    const variable = container === 'agent' ? 'SLIPWAY_KUBERNETES_IMAGE' : 'SLIPWAY_KUBERNETES_TOOLS_IMAGE';
    const image = container === 'agent' ? options.image : options.toolsImage;
    const remedy = `Correct ${variable}, or let the nodes have the image: push it, or set imagePullSecrets or imagePullPolicy in SLIPWAY_KUBERNETES_POD.`;
    return finding('fail', 'image', `${variable}=${image}: ${message}`, remedy);
  }
  return finding('fail', 'pod', message, startRemedy(message, container) ?? eventsRemedy(api.namespace, name));
}

function startRemedy(message: string, container: string | undefined): string | null {
  if (container === 'tools') return "SLIPWAY_KUBERNETES_TOOLS_IMAGE has to be Slipway's own image (deploy/Dockerfile).";
  if (message.startsWith('No node takes')) return `Make room in the cluster, or look at ${NEEDS}.`;
  if (message.includes('exceeded quota')) return `Raise the ResourceQuota of the namespace, or look at ${NEEDS}.`;
  if (/forbidden|denied|admission/i.test(message)) return `Allow such pods in the namespace, or look at ${NEEDS}.`;
  return null;
}

function eventsRemedy(namespace: string, name: string): string {
  const events = `kubectl -n ${namespace} get events --field-selector involvedObject.name=${name}`;
  return `${events} says more, such as a Secret or ConfigMap of SLIPWAY_KUBERNETES_POD that does not exist.`;
}
