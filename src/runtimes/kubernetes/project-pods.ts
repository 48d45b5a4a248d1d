import type { Runtime } from '../runtime.ts';
import { calledPod, fenceOf } from './called-pod.ts';
import { type Places, type PlacesContext, wishOf } from './places.ts';
import { CONTAINERS, LABELS, projectPodName } from './pod-layout.ts';
import { isRunning, lossOf } from './pod-loss.ts';
import type { PodView } from './pod-view.ts';

/** The pod of a project in which nothing has run for so long is removed, and the homes in it with it. */
const IDLE_MS = 30 * 60_000;

/** Builds of a project are folders of one pod, which stays until it has been idle for a while. */
export function openProjectPods(context: PlacesContext): Places {
  const { pods, calls } = context;
  const known = new Map<string, string>();
  const idleSince = new Map<string, number>();
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
      const pod = await pods.ensure(wishOf(context, needs, { name, kind: 'project', buildId: null }));
      known.set(buildId, name);
      return { pod };
    },
    async find(buildId) {
      const pod = await find(buildId);
      return pod && { pod };
    },
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
        if (builds.some(({ closed }) => !closed)) idleSince.delete(pod.uid);
        else if (!idleSince.has(pod.uid)) idleSince.set(pod.uid, performance.now());
        else if (performance.now() - (idleSince.get(pod.uid) ?? 0) > IDLE_MS) await pods.remove(pod);
      }
      // What others have removed; who is still needed is searched for.
      for (const uid of idleSince.keys()) if (!all.some((pod) => pod.uid === uid)) idleSince.delete(uid);
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
