import type { Fence } from '../inside/call.ts';
import type { CalledPod } from './pod-calls.ts';
import { lossOf } from './pod-loss.ts';
import type { PodView } from './pod-view.ts';
import type { Pods } from './pods.ts';

export function fenceOf(buildId: string, attemptNo: number | undefined): Fence | null {
  return attemptNo === undefined ? null : { buildId, attemptNo };
}

/** This very pod: another one of the same name is none. */
export function calledPod(
  pods: Pods,
  { name, uid }: Pick<PodView, 'name' | 'uid'>,
  fence: Fence | null = null,
): CalledPod {
  return {
    name,
    fence,
    async check() {
      const there = await pods.look(name).catch(() => null);
      if (there === null) return;
      const loss = lossOf(there?.uid === uid ? there : undefined);
      if (loss) throw loss;
    },
    onLoss: (listener) => pods.onChange(name, (pod) => lossOf(pod?.uid === uid ? pod : undefined) && listener()),
  };
}
