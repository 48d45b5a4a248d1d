/** Which pod a build is in: one of its own, or that of its project. */
import type { Runtime, WorkspaceNeeds } from '../runtime.ts';
import type { PodCalls } from './pod-calls.ts';
import type { PodSettings } from './pod-settings.ts';
import { type PodRequest, podSpec } from './pod-spec.ts';
import type { PodView } from './pod-view.ts';
import type { PodWatch } from './pod-watch.ts';
import type { Pods, PodWish } from './pods.ts';

export interface Places extends Pick<Runtime, 'list' | 'copyHome' | 'tend'> {
  /** Where the build is; made if it is nowhere. */
  ensure(buildId: string, needs: WorkspaceNeeds): Promise<PodView>;
  /** Null when nothing of the build can be alive. */
  find(buildId: string): Promise<PodView | null>;
  leave(buildId: string, closing: Parameters<Runtime['close']>[1]): Promise<void>;
  /** Resolves when pods of the build that are ending are gone. */
  awaitEnd(buildId: string): Promise<void>;
}

export interface PlacesContext {
  readonly pods: Pods;
  readonly watch: PodWatch;
  readonly calls: PodCalls;
  readonly instance: string;
  readonly image: string;
  readonly toolsImage: string;
  readonly startSeconds: number;
  readonly pod: PodSettings;
  /** What went wrong and is tried again: for the log. */
  readonly onError: (error: unknown) => void;
}

export function wishOf(
  context: PlacesContext,
  needs: WorkspaceNeeds,
  named: Pick<PodRequest, 'name' | 'kind' | 'buildId'>,
): PodWish {
  const { instance, toolsImage, startSeconds, pod: settings } = context;
  const spec = podSpec({
    ...named,
    instance,
    toolsImage,
    settings,
    projectId: needs.projectId ?? null,
    // One that is no single build's is no attempt's.
    attemptNo: named.buildId === null ? null : (needs.attemptNo ?? null),
    network: needs.network && needs.network.access !== 'ALL' ? 'none' : 'all',
    image: needs.image ?? context.image,
    cpu: needs.cpu ?? null,
    memory: needs.memory ?? null,
    storage: needs.storage ?? null,
    deadlineSeconds: needs.maxSeconds ?? null,
  });
  return {
    pod: { ...spec, metadata: { ...spec.metadata, name: named.name, labels: spec.metadata?.labels ?? {} } },
    startMs: startSeconds * 1000,
    signal: needs.signal,
    onWait: needs.onWait,
  };
}
