import { setTimeout as delay } from 'node:timers/promises';
import { KubeError } from './kube-error.ts';

/** An API server or a kubelet may be away for so long; pods are looked after by themselves meanwhile. */
export const PATIENCE_MS = 10 * 60_000;
const MIN_PAUSE_MS = 500;
const MAX_PAUSE_MS = 5_000;

/**
 * Repeats work that may be repeated while the API server is away or in trouble: a restart of it must not cost a build.
 * Rejects with the last KubeError after ten minutes. `onWait` is told once.
 */
export async function untilReached<T>(
  work: () => Promise<T>,
  {
    signal,
    onWait,
  }: {
    readonly signal?: AbortSignal | undefined;
    readonly onWait?: ((message: string) => void) | undefined;
  } = {},
): Promise<T> {
  const until = performance.now() + PATIENCE_MS;
  for (let tries = 0; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof KubeError) || !error.retryable || performance.now() > until) throw error;
      if (tries === 0) onWait?.(`The build waits for Kubernetes: ${error.message}`);
    }
    const pauseMs = Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** Math.min(tries, 8));
    await delay(pauseMs * (0.5 + Math.random() / 2), undefined, signal ? { signal } : {});
  }
}
