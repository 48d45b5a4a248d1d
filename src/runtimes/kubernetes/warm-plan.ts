/** What is to be done so that as many pods are warm as there should be. Pure: equal views give equal plans in each worker. */
import { SPEC_HASH } from './pod-layout.ts';
import { isRunning, lossOf, startProblem } from './pod-loss.ts';
import type { PodView } from './pod-view.ts';

export interface WarmTarget {
  readonly image: string;
  readonly count: number;
  readonly specHash: string;
}

export interface WarmPlan {
  /** Too many, too old, unknown, ended, failed. */
  readonly remove: readonly PodView[];
  /** Why pods of this image do not start, or have ended. */
  readonly failed: ReadonlyMap<WarmTarget, string>;
  /** Those with pods that have not run for a while yet. */
  readonly starting: ReadonlySet<WarmTarget>;
  readonly missing: ReadonlyMap<WarmTarget, number>;
}

/** A pod of other settings may be that of a worker that is not yet, or no longer, as this one is. */
const STRANGE_MS = 10 * 60_000;

export function planWarmPods(input: {
  /** Of kind `warm`. */
  readonly pods: readonly PodView[];
  readonly targets: readonly WarmTarget[];
  /** Date.now() */
  readonly now: number;
  /** How long one may take to start. */
  readonly startMs: number;
  /** How long one may wait for a build. */
  readonly maxAgeMs: number;
  /** One that runs at this age has started. */
  readonly provenMs: number;
}): WarmPlan {
  const { targets, now, startMs, maxAgeMs, provenMs } = input;
  const remove: PodView[] = [];
  const failed = new Map<WarmTarget, string>();
  const starting = new Set<WarmTarget>();
  const ready = new Map<WarmTarget, PodView[]>(targets.map((target) => [target, []]));
  for (const pod of input.pods) {
    const ageMs = now - pod.createdAt.getTime();
    const target = targets.find(({ specHash }) => specHash === pod.annotations[SPEC_HASH]);
    const failure = failureOf(pod, ageMs > startMs);
    if (pod.deletesAt !== null || ageMs > maxAgeMs || (!target && ageMs > STRANGE_MS)) remove.push(pod);
    else if (failure !== null) {
      remove.push(pod);
      if (target) failed.set(target, failure);
    } else if (target) {
      ready.get(target)?.push(pod);
      if (!isRunning(pod) || ageMs < provenMs) starting.add(target);
    }
  }
  const missing = new Map<WarmTarget, number>();
  for (const [target, pods] of ready) {
    remove.push(...pods.toSorted(byUse).slice(target.count));
    if (pods.length < target.count) missing.set(target, target.count - pods.length);
  }
  return { remove, failed, starting, missing };
}

function failureOf(pod: PodView, isLate: boolean): string | null {
  const problem = startProblem(pod);
  if (problem?.isFinal) return problem.message;
  const loss = lossOf(pod);
  if (loss) return loss.message;
  return isLate && !isRunning(pod) ? (problem?.message ?? 'It did not start in time.') : null;
}

/** Those that run first, then the oldest; each worker puts them in the same order. */
function byUse(one: PodView, other: PodView): number {
  return (
    Number(isRunning(other)) - Number(isRunning(one)) ||
    one.createdAt.getTime() - other.createdAt.getTime() ||
    one.name.localeCompare(other.name)
  );
}
