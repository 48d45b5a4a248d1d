/** Builds in pods; ARCHITECTURE.md says why it is made as it is. */
import { createHash } from 'node:crypto';
import { podNetworkProblem } from '../../std/pod-network.ts';
import type { Runtime, WorkspaceNeeds, WorkspacePaths } from '../runtime.ts';
import { openBuildPods } from './build-pods.ts';
import { calledPod, fenceOf } from './called-pod.ts';
import { openKubeApi } from './kube-api.ts';
import type { KubeConfigInput } from './kube-credentials.ts';
import { openKubernetesWorkspace } from './kubernetes-workspace.ts';
import { type CalledPod, PodCalls } from './pod-calls.ts';
import { CONTAINERS, ownSelector } from './pod-layout.ts';
import { isRunning } from './pod-loss.ts';
import { operatorVariables, type PodSettings } from './pod-settings.ts';
import { openPodWatch } from './pod-watch.ts';
import { Pods } from './pods.ts';
import { openProjectPods } from './project-pods.ts';
import { openSandboxPods, type SandboxUse } from './sandbox-pods.ts';
import { untilReached } from './until-reached.ts';
import { openWarmPods, type WarmImage } from './warm-pods.ts';

export interface KubernetesRuntimeOptions extends KubeConfigInput {
  readonly mode: 'pod' | 'exec';
  /** The id of the installation: pods of others are left alone. */
  readonly instance: string;
  /** In which agents run when a build names none. */
  readonly image: string;
  /** Slipway's own. */
  readonly toolsImage: string;
  readonly startSeconds: number;
  readonly pod: PodSettings;
  /** Whether pods are made by way of Sandbox objects, in mode `pod`. */
  readonly sandbox: SandboxUse;
  /** How many pods are prepared ahead, in mode `pod`. */
  readonly warm: readonly WarmImage[];
  /** What went wrong and is tried again: for the log. */
  readonly onError: (error: unknown) => void;
}

export interface KubernetesRuntime extends Runtime, AsyncDisposable {}

/** A run that somebody began to read this lately is looked after by that, or was told so. */
const RENEWED_MS = 90_000;
const TEND_EVERY_MS = 10_000;

/**
 * Does not wait for a cluster that does not answer: whatever is asked of it does. Rejects with a KubeError (NotConfigured) where
 * it cannot be told what to reach, or Sandbox objects must be used and are not defined there.
 */
export async function openKubernetesRuntime(options: KubernetesRuntimeOptions): Promise<KubernetesRuntime> {
  const { instance, mode } = options;
  await using opened = new AsyncDisposableStack();
  const { api, watch, pods, calls, places, trouble } = await openCluster(opened, options);
  const renewed = new Map<string, number>();
  const looked = (buildId: string) => renewed.set(buildId, performance.now());
  const resources = opened.move();
  return {
    name: 'kubernetes',
    sandbox: `kubernetes (${mode})`,
    place: `kubernetes:${createHash('sha256').update(`${api.server} ${api.namespace} ${instance}`).digest('hex').slice(0, 24)}`,
    reachesLocalPaths: false,
    closeEnds: mode === 'pod',
    problem: () => (watch.isCurrent ? null : `The cluster does not tell its pods: ${trouble()}`),
    networkProblem: podNetworkProblem,
    async open(buildId, needs: WorkspaceNeeds = {}) {
      checkBuildId(buildId);
      const place = await untilReached(() => places.ensure(buildId, needs), needs);
      const pod = calledPod(pods, place, fenceOf(buildId, needs.attemptNo));
      const data = { buildId };
      const call = {
        container: CONTAINERS.git,
        operation: 'open',
        data,
        ...(needs.signal ? { signal: needs.signal } : {}),
      };
      const { paths } = await calls.ask<{ paths: WorkspacePaths }>(pod, call);
      const variables = operatorVariables(options.pod);
      return openKubernetesWorkspace({ buildId, pod, calls, paths, variables, onRead: () => looked(buildId) });
    },
    async sweep(buildId, attemptNo) {
      checkBuildId(buildId);
      const place = await untilReached(() => places.find(buildId));
      // What is ending still runs until it is gone.
      if (place === null) await untilReached(() => places.awaitEnd(buildId));
      // In a pod that does not run yet, nothing does.
      if (place === null || !isRunning(place)) return 0;
      const pod = calledPod(pods, place, fenceOf(buildId, attemptNo));
      return sweepPod(pod, calls, { buildId, everything: mode === 'pod' });
    },
    async renew(buildId) {
      const last = renewed.get(buildId) ?? Number.NEGATIVE_INFINITY;
      if (performance.now() - last < RENEWED_MS) return;
      const place = await places.find(buildId);
      if (place === null) return;
      const pod = calledPod(pods, place);
      await calls.ask(pod, { container: CONTAINERS.agent, operation: 'renew', data: { buildId } });
      looked(buildId);
    },
    async tend() {
      // Builds that others have closed are among them.
      for (const [buildId, last] of renewed) if (performance.now() - last > RENEWED_MS) renewed.delete(buildId);
      await places.tend();
    },
    tendEveryMs: TEND_EVERY_MS,
    list: () => places.list(),
    copyHome: async (from, to) => places.copyHome(checkBuildId(from), checkBuildId(to)),
    async close(buildId, closing) {
      checkBuildId(buildId);
      await untilReached(() => places.leave(buildId, closing));
      renewed.delete(buildId);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** All that has to be closed again is in `opened`. `trouble`: what went wrong last. */
async function openCluster(opened: AsyncDisposableStack, options: KubernetesRuntimeOptions) {
  const { instance, mode } = options;
  let trouble = 'it has not answered yet.';
  const onError = (error: unknown) => {
    trouble = error instanceof Error ? error.message : String(error);
    options.onError(error);
  };
  const api = opened.use(await openKubeApi(options));
  const watch = opened.use(openPodWatch({ api, labelSelector: ownSelector(instance), onError }));
  const use = mode === 'pod' ? options.sandbox : 'false';
  const sandboxes = await openSandboxPods({ api, watch, instance, use, onError: options.onError });
  const pods = new Pods({ api, watch, instance, sandboxes });
  const calls = new PodCalls(api);
  const context = { ...options, api, pods, watch, calls };
  const warm = opened.use(openWarmPods(context));
  const places = mode === 'pod' ? openBuildPods({ ...context, warm, sandboxes }) : openProjectPods(context);
  return { api, watch, pods, calls, places, trouble: () => trouble };
}

/** Resolves with 0 where nothing of the build can be alive. */
async function sweepPod(
  pod: CalledPod,
  calls: PodCalls,
  { buildId, everything }: { readonly buildId: string; readonly everything: boolean },
): Promise<number> {
  const swept = [CONTAINERS.agent, CONTAINERS.git].map((container) => {
    // Git's programs keep their mark; an agent's may have taken it off.
    const data = { buildId, everything: everything && container === CONTAINERS.agent };
    return calls.ask<{ killed: number }>(pod, { container, operation: 'sweep', data });
  });
  return (await Promise.all(swept)).reduce((sum, { killed }) => sum + killed, 0);
}

/** It is a part of a pod's name and the value of a label. */
function checkBuildId(buildId: string): string {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,53}[a-z0-9])?$/.test(buildId)) {
    throw new Error('A build id in a pod has 1 to 55 small letters, digits and "-".');
  }
  return buildId;
}
