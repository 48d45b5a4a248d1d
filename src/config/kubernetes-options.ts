/** The options of builds on Kubernetes. */
import { z } from 'zod';
import { imagePatternProblem, imageProblem } from '../std/image-reference.ts';
import { dnsLabelProblem, labelValueProblem } from '../std/kubernetes-names.ts';
import { kubernetesPod } from './kubernetes-pod.ts';
import { checked, integer, list, option, optional, parseJson } from './option.ts';

const MAX_WARM = 100;

export interface WarmPods {
  readonly image: string;
  readonly count: number;
}

const image = checked(imageProblem).optional();

const patterns = list.superRefine((found, context) => {
  for (const pattern of found) {
    const problem = imagePatternProblem(pattern);
    if (problem) context.addIssue({ code: 'custom', message: `${pattern} ${problem}` });
  }
});

const counts = z.record(z.string(), z.int());

/** `IMAGE=COUNT,…`, or the same as JSON. */
const warm = z
  .string()
  .default('')
  .transform((text, context): readonly WarmPods[] => {
    const parsed = counts.safeParse(text.trim().startsWith('{') ? parseJson(text) : pairs(text));
    if (!parsed.success) {
      context.addIssue('must be IMAGE=COUNT, comma-separated, or JSON: {"IMAGE": COUNT}');
      return z.NEVER;
    }
    const pods = Object.entries(parsed.data).map(([image, count]) => ({ image, count }));
    for (const { image, count } of pods) {
      const problem = imageProblem(image) ?? (count < 1 ? 'must have at least one pod' : null);
      if (problem) context.addIssue(`${image} ${problem}`);
    }
    if (pods.reduce((sum, { count }) => sum + count, 0) > MAX_WARM) context.addIssue(`at most ${MAX_WARM} pods in all`);
    return pods;
  });

/** Null where an image is named twice. */
function pairs(text: string): unknown {
  const items = text.split(',').filter((item) => item.trim() !== '');
  const entries = items.map((item) => {
    const at = item.lastIndexOf('=');
    const count = item.slice(at + 1).trim();
    return [item.slice(0, at).trim(), /^\d{1,9}$/.test(count) ? Number(count) : count] as const;
  });
  const found = new Map<string, unknown>(entries);
  return found.size === items.length ? Object.fromEntries(found) : null;
}

export const KUBERNETES_OPTIONS = {
  runtime: option(
    'SLIPWAY_RUNTIME',
    z.enum(['local', 'kubernetes']).default('local'),
    'local',
    "Where builds run: `local` is folders of the worker's machine, `kubernetes` is pods. The same for API and workers.",
  ),
  kubeconfig: option(
    'KUBECONFIG',
    optional,
    '~/.kube/config',
    "How the cluster is reached; inside of one, where this is not set and there is no such file, by the pod's service account.",
  ),
  kubernetesContext: option(
    'SLIPWAY_KUBERNETES_CONTEXT',
    optional,
    'the current one',
    'The context of KUBECONFIG that is used.',
  ),
  kubernetesNamespace: option(
    'SLIPWAY_KUBERNETES_NAMESPACE',
    checked(dnsLabelProblem).optional(),
    "the context's, or the worker's own",
    'The namespace in which builds run. It should hold nothing else.',
  ),
  kubernetesInstance: option(
    'SLIPWAY_KUBERNETES_INSTANCE',
    checked((value) => (value === '' ? 'must not be empty' : labelValueProblem(value))).optional(),
    "the database's own id",
    'Stands in the label slipway.dev/instance of all pods, and pods with another one are left alone. Only to be set for the copy of a database whose original has pods in the same namespace.',
  ),
  kubernetesMode: option(
    'SLIPWAY_KUBERNETES_MODE',
    z.enum(['pod', 'exec']).default('pod'),
    'pod',
    '`pod`: one pod per build. `exec`: one long-lived pod per project, in which each build is a folder.',
  ),
  kubernetesImage: option(
    'SLIPWAY_KUBERNETES_IMAGE',
    image,
    '',
    'The image in which agents run when neither project nor template names one: any with glibc, a shell, and the programs of the agents.',
  ),
  kubernetesToolsImage: option(
    'SLIPWAY_KUBERNETES_TOOLS_IMAGE',
    image,
    '',
    "Slipway's own image: it brings git and Slipway's programs into the pods of builds.",
  ),
  kubernetesAllowedImages: option(
    'SLIPWAY_KUBERNETES_ALLOWED_IMAGES',
    patterns,
    'only SLIPWAY_KUBERNETES_IMAGE',
    'Images that projects and templates may name, comma-separated, compared as they are written: `registry.example.com/team/*`; ' +
      '`*` is a part of a name, `**` any number of parts, and a pattern without a tag allows every tag and digest.',
  ),
  kubernetesPod: option(
    'SLIPWAY_KUBERNETES_POD',
    kubernetesPod,
    '{}',
    'The pods, as JSON: `resources` and `gitResources` (`requests`, `limits`: `cpu`, `memory`, `ephemeral-storage`), `maximum` (of what projects may ask for), `nodeSelector`, `tolerations`, `runtimeClassName`, `priorityClassName`, ' +
      '`serviceAccountName`, `imagePullSecrets`, `imagePullPolicy`, `labels`, `annotations`, `env` (variables of the agent, not for secrets), `secrets` and `configMaps` ' +
      '(`{"name": …}` makes files below /slipway/secrets/NAME or /slipway/config/NAME, `{"name": …, "key": …, "variable": …}` a variable; only for the agent), ' +
      '`user` (`runAsUser`, `runAsGroup`, `fsGroup`), `deadlineSeconds` (the longest that a pod may live).',
  ),
  kubernetesWarm: option(
    'SLIPWAY_KUBERNETES_WARM',
    warm,
    'none',
    'Pods that are prepared ahead in mode `pod`: `IMAGE=COUNT,…`, or `{"IMAGE": COUNT}`.',
  ),
  kubernetesSandbox: option(
    'SLIPWAY_KUBERNETES_SANDBOX',
    z.enum(['auto', 'true', 'false']).default('false'),
    'false',
    'Pods of builds are made as Sandbox objects (`agents.x-k8s.io`, kubernetes-sigs/agent-sandbox), whose controller makes the pods: ' +
      '`true`: the cluster has to have it, `auto`: where the cluster has it when the worker starts. Only in mode `pod`, and without warm pods.',
  ),
  kubernetesStartSeconds: option(
    'SLIPWAY_KUBERNETES_START_SECONDS',
    integer(300, 10, 86_400),
    '300',
    'How long a pod may take to start, with the wait for a node, quota and images; then the build fails with SANDBOX_FAILED.',
  ),
} as const;
