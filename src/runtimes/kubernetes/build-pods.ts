/**
 * Builds in pods of their own: a warm one where there is one that fits, else a cold one, made by us or by the controller of
 * Sandboxes, which keeps none warm for us. They are found by their labels.
 */
import { type Places, type PlacesContext, wishOf } from './places.ts';
import { attemptOf, buildPodName, LABELS } from './pod-layout.ts';
import { lossOf } from './pod-loss.ts';
import type { PodView } from './pod-view.ts';
import type { SandboxPods } from './sandbox-pods.ts';
import type { WarmPods } from './warm-pods.ts';

export interface BuildPodsContext extends PlacesContext {
  readonly warm: WarmPods;
  readonly sandboxes: SandboxPods;
}

export function openBuildPods(context: BuildPodsContext): Places {
  const { pods, warm, sandboxes } = context;
  /** The one to be used comes first. */
  const podsOf = async (buildId: string): Promise<PodView[]> => {
    const known = await pods.labelled(LABELS.build, buildId);
    if (known.length > 0) return known.toSorted(byAttempt);
    const there = await pods.look(buildPodName(buildId));
    return there ? [there] : [];
  };
  return {
    async ensure(buildId, needs) {
      const name = buildPodName(buildId);
      const wish = wishOf(context, needs, { name, kind: 'build', buildId });
      const all = await podsOf(buildId);
      const there = all.find(isLiving);
      await Promise.all(all.filter((pod) => pod !== there).map((pod) => pods.remove(pod)));
      if (there && there.name !== name) return pods.adopt(there, wish);
      const isCold = there !== undefined || (await sandboxes.areUsed());
      const claimed = isCold ? null : await warm.take(wish);
      return claimed ?? pods.ensure(wish);
    },
    async find(buildId) {
      return (await podsOf(buildId)).find(isLiving) ?? null;
    },
    async leave(buildId, { attemptNo }) {
      // What is left is then the later attempt's to remove. What was heard may be from before it came.
      if (attemptNo !== undefined && (await pods.list(LABELS.build, buildId)).some((pod) => attemptOf(pod) > attemptNo))
        return;
      // What has just come of a Sandbox may not be known yet.
      const hadSandbox = await sandboxes.remove(buildId);
      const all = hadSandbox ? await pods.list(LABELS.build, buildId) : await podsOf(buildId);
      await Promise.all(all.map((pod) => pods.remove(pod)));
    },
    async awaitEnd(buildId) {
      await Promise.all((await podsOf(buildId)).filter((pod) => !isLiving(pod)).map((pod) => pods.remove(pod)));
    },
    // Those that have ended are among them: who looks after a build that is over removes its pod.
    async list() {
      const ids = (await pods.labelled(LABELS.kind, 'build')).flatMap(({ labels }) => labels[LABELS.build] ?? []);
      return [...new Set([...ids, ...(await sandboxes.builds())])].map((buildId) => ({ buildId, closed: false }));
    },
    async tend() {
      await discardSpare(context);
      await warm.tend();
    },
    // With a pod goes what was in it.
    copyHome: async () => false,
  };
}

/**
 * Of two workers of which one is superseded, each may make a pod before it hears of the other's. The later attempt's stays. That
 * is soon enough: the fence in the database lets no write of the earlier attempt through, and its push names where the branch
 * must stand.
 */
async function discardSpare({ pods, watch }: PlacesContext): Promise<void> {
  if (!watch.isCurrent) return;
  const all = Map.groupBy(watch.labelled(LABELS.kind, 'build'), ({ labels }) => labels[LABELS.build] ?? '');
  const crowded = [...all].filter(([, ofBuild]) => ofBuild.length > 1);
  for (const [buildId] of crowded) {
    const [, ...spare] = (await pods.list(LABELS.build, buildId)).toSorted(byAttempt);
    await Promise.all(spare.map((pod) => pods.discard(pod)));
  }
}

function isLiving(pod: PodView): boolean {
  return lossOf(pod) === null;
}

/** The latest attempt's first, of one attempt's the youngest. */
function byAttempt(one: PodView, other: PodView): number {
  return (
    attemptOf(other) - attemptOf(one) ||
    other.createdAt.getTime() - one.createdAt.getTime() ||
    one.name.localeCompare(other.name)
  );
}
