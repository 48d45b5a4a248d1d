import type { Runtime } from '../runtime.ts';
import { calledPod, fenceOf } from './called-pod.ts';
import { type Places, type PlacesContext, wishOf } from './places.ts';
import { CONTAINERS, LABELS, projectPodName, USED } from './pod-layout.ts';
import { isRunning, lossOf } from './pod-loss.ts';
import type { PodView } from './pod-view.ts';

export interface ProjectPodsOptions extends PlacesContext {
  /** The pod of a project in which nothing has run for so long is removed, and the homes in it with it; default 30 min. */
  readonly idleMs?: number;
}

/** Far longer than a build takes to open its workspace once it has marked the pod. */
const IDLE_MS = 30 * 60_000;

/** Builds of a project are folders of one pod, which stays until it has been idle for a while. */
export function openProjectPods(options: ProjectPodsOptions): Places {
  const { pods, calls, idleMs = IDLE_MS } = options;
  const known = new Map<string, string>();
  const idleness = trackIdleness(idleMs);
  // In one that does not run yet there is nothing, and nobody who could say so.
  const projectPods = async () =>
    (await pods.labelled(LABELS.kind, 'project')).filter((pod) => isRunning(pod) && lossOf(pod) === null);
  const buildsIn = async (pod: PodView) => {
    const call = { container: CONTAINERS.git, operation: 'list', data: {} } as const;
    return (await calls.ask<{ builds: Awaited<ReturnType<Runtime['list']>> }>(calledPod(pods, pod), call)).builds;
  };
  const search = async (buildId: string): Promise<PodView | null> => {
    for (const pod of await projectPods()) {
      if ((await buildsIn(pod)).some((build) => build.buildId === buildId)) return pod;
    }
    return null;
  };
  const find = async (buildId: string): Promise<PodView | null> => {
    const name = known.get(buildId);
    if (name === undefined) return search(buildId);
    const pod = await pods.find(name);
    return pod && lossOf(pod) === null ? pod : null;
  };
  return {
    async ensure(buildId, needs) {
      const { projectId } = needs;
      if (projectId === undefined) throw new Error('In mode exec a build is in the pod of its project.');
      const name = projectPodName(projectId);
      const wish = wishOf(options, needs, { name, kind: 'project', buildId: null });
      const pod = await pods.ensureUsed(wish, buildId);
      known.set(buildId, name);
      return pod;
    },
    find,
    async leave(buildId, { keepHome, forget = [], attemptNo }) {
      const pod = await find(buildId);
      known.delete(buildId);
      if (!pod) return;
      const data = { buildId, keepHome, forget };
      const called = calledPod(pods, pod, fenceOf(buildId, attemptNo));
      await calls.ask(called, { container: CONTAINERS.git, operation: 'close', data });
    },
    // Where its pod is ending, so are all builds in it: none of them is told of as ended before another attempt.
    awaitEnd: async () => {},
    async list() {
      const lists = await Promise.all((await projectPods()).map(buildsIn));
      return lists.flat();
    },
    async tend() {
      const all = await projectPods();
      const present = new Set<string>();
      for (const pod of all) {
        const builds = await buildsIn(pod);
        for (const { buildId } of builds) present.add(buildId);
        const isEmpty = builds.every(({ closed }) => closed);
        // As it was before its builds were looked at: whoever has marked it meanwhile keeps it.
        if (idleness.isLong(pod, isEmpty)) await pods.discard(pod);
      }
      idleness.forgetOthers(all);
      // Who is still needed is searched for.
      for (const buildId of known.keys()) if (!present.has(buildId)) known.delete(buildId);
    },
    async copyHome(from, to) {
      const pod = await find(from);
      if (!pod) return false;
      const call = { container: CONTAINERS.git, operation: 'copyHome', data: { from, to } } as const;
      return (await calls.ask<{ copied: boolean }>(calledPod(pods, pod), call)).copied;
    },
  };
}

/** How long pods have been empty, from one look at them to the next. */
function trackIdleness(idleMs: number) {
  /** By the uid of the pod; `used`: the last mark that was there then. */
  const idle = new Map<string, { readonly since: number; readonly used: string | undefined }>();
  return {
    isLong({ uid, annotations }: PodView, isEmpty: boolean): boolean {
      const before = idle.get(uid);
      const used = annotations[USED];
      if (!isEmpty) idle.delete(uid);
      // Whoever has marked it since may not have opened his workspace yet.
      else if (before === undefined || before.used !== used) idle.set(uid, { since: performance.now(), used });
      else return performance.now() - before.since > idleMs;
      return false;
    },
    forgetOthers(pods: readonly PodView[]): void {
      for (const uid of idle.keys()) if (!pods.some((pod) => pod.uid === uid)) idle.delete(uid);
    },
  };
}
