/** What is where in a pod, and how Slipway finds its pods. */

/** Mount paths; the volumes have the keys' names. */
export const MOUNTS = {
  /** `<buildId>/{work,home,tmp,run}`; both containers write. */
  builds: '/slipway/builds',
  /** What is said to agents; `agent` may only read. */
  inbox: '/slipway/inbox',
  /** The trusted git folders; only in `git`. */
  git: '/slipway/git',
  /** Fetched objects, which checkouts borrow; `agent` may only read. */
  cache: '/slipway/cache',
  /** Node and Slipway's programs; both may only read. */
  tools: '/slipway/tools',
} as const;

/** Where `agent` sees the Secrets and ConfigMaps of the operator, each as a folder of its name. */
export const OPERATOR_FILES = { secrets: '/slipway/secrets', configMaps: '/slipway/config' } as const;

/** Node, as the containers of a pod see it. */
export const NODE = `${MOUNTS.tools}/node`;
/** Slipway's package, as the containers of a pod see it. */
export const PACKAGE = `${MOUNTS.tools}/slipway`;

/** Slipway's package with all that it needs, in its own image: as `git` sees it. */
export const IMAGE_PACKAGE = '/app';

/** What Node has compiled of that; deploy/Dockerfile says of which programs. */
export const IMAGE_COMPILED = `${IMAGE_PACKAGE}/node_modules/.cache/slipway`;

/** What Node has compiled of them, for NODE_COMPILE_CACHE. */
export const COMPILED = `${MOUNTS.tools}/cache`;

/** From SIGTERM to SIGKILL of what does not heed the first; what waits in a container does. */
export const GRACE_SECONDS = 5;

/** What the first process of `git` and of `agent` waits by, again and again. */
export const NAP = ['sleep', '2147483'] as const;

export const CONTAINERS = { tools: 'tools', git: 'git', agent: 'agent' } as const;

/** `build`: of one build. `project`: of the builds of a project, in mode `exec`. `warm`: of nobody yet. */
export type PodKind = 'build' | 'project' | 'warm';

export const LABELS = {
  name: 'app.kubernetes.io/name',
  managedBy: 'app.kubernetes.io/managed-by',
  kind: 'slipway.dev/component',
  instance: 'slipway.dev/instance',
  build: 'slipway.dev/build',
  project: 'slipway.dev/project',
  attempt: 'slipway.dev/attempt',
  network: 'slipway.dev/network',
} as const;

export const SPEC_HASH = 'slipway.dev/spec-hash';

/** When the pod of a project was last opened, and for which build: no two uses are written alike. */
export const USED = 'slipway.dev/used';

/** Selects all that one installation has made, and nothing of the others of the namespace. */
export function ownSelector(instance: string): string {
  return `${LABELS.managedBy}=slipway,${LABELS.instance}=${instance}`;
}

/** 0: of none. */
export function attemptOf({ labels }: { readonly labels: Readonly<Record<string, string>> }): number {
  return Number(labels[LABELS.attempt] ?? 0);
}

export function buildPodName(buildId: string): string {
  return `slipway-${buildId}`;
}

export function projectPodName(projectId: string): string {
  return `slipway-project-${projectId}`;
}
