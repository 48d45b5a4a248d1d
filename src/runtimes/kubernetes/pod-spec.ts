/** The pod of a build, of a project, or of nobody yet. */
import { createHash } from 'node:crypto';
import type { V1Container, V1Pod, V1PodSpec, V1ResourceRequirements, V1SecurityContext } from '@kubernetes/client-node';
import { canonicalJson } from '../../std/canonical-json.ts';
import { agentEnvironment, operatorMounts, operatorVolumes } from './operator-files.ts';
import {
  COMPILED,
  CONTAINERS,
  GRACE_SECONDS,
  IMAGE_PACKAGE,
  LABELS,
  MOUNTS,
  NAP,
  type PodKind,
  SPEC_HASH,
} from './pod-layout.ts';
import type { PodSettings, Toleration } from './pod-settings.ts';

export interface PodRequest {
  readonly name: string;
  readonly kind: PodKind;
  /** Tells the installations of one namespace apart. */
  readonly instance: string;
  /** A UUID; null for pods of kind `project` and `warm`. */
  readonly buildId: string | null;
  /** A UUID; null for a pod of nobody yet. */
  readonly projectId: string | null;
  readonly attemptNo: number | null;
  readonly network: 'all' | 'none';
  /** Of `agent`. */
  readonly image: string;
  /** Slipway's own. */
  readonly toolsImage: string;
  /** Of `agent`: both what it is promised and its limit; null: as the settings say. */
  readonly cpu: string | null;
  readonly memory: string | null;
  readonly storage: string | null;
  /**
   * When Kubernetes ends it, from its start; the settings' deadline if that is sooner. Pods of projects have none, those of
   * nobody yet twice the settings': they may wait that long, and then be a build's for that long.
   */
  readonly deadlineSeconds: number | null;
  readonly settings: PodSettings;
}

/** Where the image of Slipway has its package. */
const COPY_TOOLS = `${IMAGE_PACKAGE}/src/runtimes/inside/copy-tools.ts`;
/** Ends at once when it is told to, which process 1 does only with a handler; needs nothing but a shell. */
const KEEPER = `trap "exit 0" TERM; while :; do ${NAP.join(' ')} & wait $!; done`;
/** How long a node may be silent before Kubernetes gives its pods up. */
const NODE_LOST_SECONDS = 60;
const TOOLS_SIZE = '1Gi';
const INBOX_SIZE = '256Mi';
const TMP = '/tmp';
/** Each call is a Node of its own: with what is compiled already it starts in half the time. */
const ENVIRONMENT = [
  { name: 'HOME', value: TMP },
  { name: 'NODE_COMPILE_CACHE', value: COMPILED },
];
/** A build that is moved begins anew: nobody should tidy the nodes up meanwhile. */
const STAY = {
  'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false',
  'karpenter.sh/do-not-disrupt': 'true',
} as const;

/** Pure: equal requests give equal pods. Its names and amounts have been checked where they come from. */
export function podSpec(request: PodRequest): V1Pod {
  const { settings } = request;
  const spec = specOf(request);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: request.name,
      labels: { ...settings.labels, ...ownLabels(request) },
      annotations: { ...STAY, ...settings.annotations, [SPEC_HASH]: specHash(spec, settings) },
    },
    spec: request.kind === 'project' ? spec : { ...spec, activeDeadlineSeconds: deadline(request) },
  };
}

function ownLabels(request: PodRequest): Record<string, string> {
  const { buildId, projectId, attemptNo } = request;
  return {
    [LABELS.name]: 'slipway',
    [LABELS.managedBy]: 'slipway',
    [LABELS.kind]: request.kind,
    [LABELS.instance]: request.instance,
    [LABELS.network]: request.network,
    ...(buildId === null ? {} : { [LABELS.build]: buildId }),
    ...(projectId === null ? {} : { [LABELS.project]: projectId }),
    ...(attemptNo === null ? {} : { [LABELS.attempt]: String(attemptNo) }),
  };
}

/** Equal for pods that can stand in for each other: the owner and what may be changed later do not count. */
function specHash(spec: V1PodSpec, { labels, annotations, deadlineSeconds }: PodSettings): string {
  const content = canonicalJson({ spec, labels, annotations, deadlineSeconds });
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}

function deadline({ kind, deadlineSeconds, settings }: PodRequest): number {
  if (kind === 'warm') return 2 * settings.deadlineSeconds;
  return Math.min(deadlineSeconds ?? settings.deadlineSeconds, settings.deadlineSeconds);
}

function specOf(request: PodRequest): V1PodSpec {
  const { settings } = request;
  const { runtimeClassName, priorityClassName, serviceAccountName, imagePullSecrets } = settings;
  const agent = agentResources(request);
  return {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: GRACE_SECONDS,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    hostNetwork: false,
    hostPID: false,
    hostIPC: false,
    shareProcessNamespace: false,
    securityContext: {
      runAsNonRoot: true,
      ...settings.user,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
    tolerations: tolerations(settings.tolerations),
    ...(Object.keys(settings.nodeSelector).length > 0 ? { nodeSelector: { ...settings.nodeSelector } } : {}),
    ...(runtimeClassName === null ? {} : { runtimeClassName }),
    ...(priorityClassName === null ? {} : { priorityClassName }),
    ...(serviceAccountName === null ? {} : { serviceAccountName }),
    ...(imagePullSecrets.length > 0 ? { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) } : {}),
    initContainers: [toolsContainer(request)],
    containers: [gitContainer(request), agentContainer(request, agent)],
    volumes: volumes(settings, agent),
  };
}

function toolsContainer({ toolsImage, settings }: PodRequest): V1Container {
  return {
    ...container(settings, { name: CONTAINERS.tools, image: toolsImage }),
    command: ['node', COPY_TOOLS, MOUNTS.tools],
    resources: copyOf(settings.gitResources),
    volumeMounts: [{ name: 'tools', mountPath: MOUNTS.tools }],
  };
}

function gitContainer({ toolsImage, settings }: PodRequest): V1Container {
  return {
    ...container(settings, { name: CONTAINERS.git, image: toolsImage }),
    command: ['/bin/sh', '-c', KEEPER],
    workingDir: TMP,
    env: [...ENVIRONMENT],
    resources: copyOf(settings.gitResources),
    volumeMounts: [
      { name: 'builds', mountPath: MOUNTS.builds },
      { name: 'inbox', mountPath: MOUNTS.inbox },
      { name: 'git', mountPath: MOUNTS.git },
      { name: 'cache', mountPath: MOUNTS.cache },
      { name: 'tools', mountPath: MOUNTS.tools, readOnly: true },
      { name: 'git-tmp', mountPath: TMP },
    ],
  };
}

function agentContainer({ image, settings }: PodRequest, resources: V1ResourceRequirements): V1Container {
  return {
    ...container(settings, { name: CONTAINERS.agent, image }),
    command: ['/bin/sh', '-c', KEEPER],
    // That of the image need not be open to this user.
    workingDir: TMP,
    env: [...ENVIRONMENT, ...agentEnvironment(settings)],
    resources,
    volumeMounts: [
      { name: 'builds', mountPath: MOUNTS.builds },
      { name: 'inbox', mountPath: MOUNTS.inbox, readOnly: true },
      { name: 'cache', mountPath: MOUNTS.cache, readOnly: true },
      { name: 'tools', mountPath: MOUNTS.tools, readOnly: true },
      { name: 'agent-tmp', mountPath: TMP },
      ...operatorMounts(settings),
    ],
  };
}

function container(
  { imagePullPolicy, user }: PodSettings,
  named: Pick<V1Container, 'name'> & { image: string },
): V1Container {
  const securityContext: V1SecurityContext = {
    runAsNonRoot: true,
    runAsUser: user.runAsUser,
    runAsGroup: user.runAsGroup,
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
  return { ...named, ...(imagePullPolicy === null ? {} : { imagePullPolicy }), securityContext };
}

type Limited = V1ResourceRequirements & Required<Pick<V1ResourceRequirements, 'requests' | 'limits'>>;

function agentResources({ cpu, memory, storage, settings }: PodRequest): Limited {
  const { requests, limits } = settings.resources;
  const asked = {
    ...(cpu === null ? {} : { cpu }),
    ...(memory === null ? {} : { memory }),
    ...(storage === null ? {} : { 'ephemeral-storage': storage }),
  };
  return { requests: { ...requests, ...asked }, limits: { ...limits, ...asked } };
}

function copyOf({ requests, limits }: PodSettings['resources']): Limited {
  return { requests: { ...requests }, limits: { ...limits } };
}

function volumes(settings: PodSettings, agent: Limited): NonNullable<V1PodSpec['volumes']> {
  const storage = agent.limits['ephemeral-storage'] ?? settings.resources.limits['ephemeral-storage'];
  const gitStorage = settings.gitResources.limits['ephemeral-storage'];
  const sizes = {
    builds: storage,
    inbox: INBOX_SIZE,
    git: gitStorage,
    cache: gitStorage,
    tools: TOOLS_SIZE,
    'agent-tmp': storage,
    'git-tmp': gitStorage,
  };
  const folders = Object.entries(sizes).map(([name, sizeLimit]) => ({ name, emptyDir: { sizeLimit } }));
  return [...folders, ...operatorVolumes(settings)];
}

/** Those of a lost node are short, so that a build does not wait for it, unless the operator has his own. */
function tolerations(given: readonly Toleration[]): Toleration[] {
  const lost = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'].filter(
    (taint) => !given.some(({ key, effect }) => (key ?? taint) === taint && (effect ?? 'NoExecute') === 'NoExecute'),
  );
  return [
    ...given,
    ...lost.map((key) => ({
      key,
      operator: 'Exists' as const,
      effect: 'NoExecute' as const,
      tolerationSeconds: NODE_LOST_SECONDS,
    })),
  ];
}
