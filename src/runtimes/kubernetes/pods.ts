/** Pods from their making to their end: one name is one pod at a time, and it is only free when the last one is gone. */
import { setTimeout as delay } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { KubeApi } from './kube-api.ts';
import { KubeError } from './kube-error.ts';
import { attemptOf, GRACE_SECONDS, LABELS, ownSelector, USED } from './pod-layout.ts';
import { hasEnded, isRunning, lossOf, startProblem } from './pod-loss.ts';
import type { IndexedLabel } from './pod-table.ts';
import { type PodView, viewOfPod } from './pod-view.ts';
import type { PodWatch } from './pod-watch.ts';
import { SandboxObjects } from './sandbox-objects.ts';
import type { SandboxPods } from './sandbox-pods.ts';

/** A pod whose node has not ended it by then is forgotten; the node ends it when it is back. */
const FORCE_AFTER_MS = 90_000;
const GONE_MS = 5 * 60_000;
/** An image that cannot be pulled is asked for again by the kubelet; this long somebody may still be pushing it. */
const PULL_MS = 60_000;
const QUOTA_PAUSE_MS = 2_000;
const MAX_REPLACED = 5;
/** A pod that has just started changes by itself. */
const MAX_CLAIM_TRIES = 3;

export interface PodWish {
  readonly pod: V1Pod & {
    readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  };
  readonly startMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onWait?: ((message: string) => void) | undefined;
}

export class Pods {
  readonly #api: KubeApi;
  readonly #watch: PodWatch;
  readonly #instance: string;
  readonly #sandboxes: SandboxPods | null;
  readonly #objects: SandboxObjects;

  /** `instance`: whose pods, as the watch has it. `sandboxes`: who makes them, where these are used. */
  constructor(options: { api: KubeApi; watch: PodWatch; instance: string; sandboxes?: SandboxPods }) {
    this.#api = options.api;
    this.#watch = options.watch;
    this.#instance = options.instance;
    this.#sandboxes = options.sandboxes ?? null;
    this.#objects = new SandboxObjects(options.api);
  }

  /** What the cluster says now, whatever was heard of it before. One of another installation is none. */
  async look(name: string): Promise<PodView | undefined> {
    const pod = await this.#api.getPod(name);
    const view = viewOfPod(pod);
    if (view?.labels[LABELS.instance] !== this.#instance) return undefined;
    this.#watch.tell(pod);
    return view;
  }

  /** See `PodWatch.onChange`. */
  onChange(name: string, listener: (pod: PodView | undefined) => void): () => void {
    return this.#watch.onChange(name, listener);
  }

  /** What is known; asks the cluster only when nothing has been heard of it for a while. */
  async find(name: string): Promise<PodView | undefined> {
    return this.#watch.isCurrent ? (this.#watch.get(name) ?? this.look(name)) : this.look(name);
  }

  /** Those with this label, as far as is known; asks the cluster only when nothing has been heard of it for a while. */
  async labelled(label: IndexedLabel, value: string): Promise<PodView[]> {
    return this.#watch.isCurrent ? this.#watch.labelled(label, value) : this.list(label, value);
  }

  /** The same, as the cluster says now. */
  async list(label: IndexedLabel, value: string, options: { readonly signal?: AbortSignal } = {}): Promise<PodView[]> {
    const pods: PodView[] = [];
    const labelSelector = `${ownSelector(this.#instance)},${label}=${value}`;
    for await (const { items } of this.#api.podPages({ labelSelector, ...options })) {
      for (const item of items) {
        this.#watch.tell(item);
        const pod = viewOfPod(item);
        if (pod) pods.push(pod);
      }
    }
    return pods;
  }

  /** Creates a pod, and does not wait for it. */
  async create(pod: V1Pod, options: { readonly signal?: AbortSignal } = {}): Promise<PodView> {
    const created = await this.#api.createPod(pod, options);
    this.#watch.tell(created);
    return viewOfPod(created) as PodView;
  }

  /**
   * The running pod of this name: the one that is there, or a new one where there is none or the old one has ended. Throws
   * with Kubernetes' words when it does not start in time; then it is deleted.
   */
  async ensure(wish: PodWish): Promise<PodView> {
    const { name } = wish.pod.metadata;
    const until = performance.now() + wish.startMs;
    for (let replaced = 0; replaced < MAX_REPLACED; replaced += 1) {
      const there = (await this.look(name)) ?? (await this.#createInTime(wish, until));
      if (lossOf(there) === null) return this.adopt(await this.#awaitStart(wish, there, until), wish);
      await this.remove(there);
    }
    throw endless(name);
  }

  /**
   * The same, and marked as used by the build: whoever saw the pod before cannot discard it any more, and whoever sees it knows that
   * it is not idle. One that was discarded before is replaced.
   */
  async ensureUsed(wish: PodWish, buildId: string): Promise<PodView> {
    for (let replaced = 0; replaced < MAX_REPLACED; replaced += 1) {
      const used = await this.#use(await this.ensure(wish), buildId);
      if (used) return used;
    }
    throw endless(wish.pod.metadata.name);
  }

  /** Resolves when this very pod is gone, or its node does not answer and Kubernetes has forgotten the pod. */
  async remove({ name, uid, sandbox }: Pick<PodView, 'name' | 'uid' | 'sandbox'>): Promise<void> {
    const isGone = (pod: PodView | undefined) => pod?.uid !== uid;
    if (sandbox) await this.#objects.remove(sandbox);
    await this.#api.deletePod(name, { uid, gracePeriodSeconds: GRACE_SECONDS });
    // A kubelet takes up to ten seconds to let go of a pod in which nothing runs any more.
    const isDead = (pod: PodView | undefined) => pod?.uid !== uid || hasEnded(pod);
    const dead = this.#watch.waitFor(name, isDead, { deadlineMs: FORCE_AFTER_MS });
    this.#watch.refresh();
    const left = await dead.then((pod) => pod, isTimeout);
    if (left !== true && isGone(left)) return;
    await this.#api.deletePod(name, { uid, gracePeriodSeconds: 0 });
    this.#watch.refresh();
    await this.#watch.waitFor(name, isGone, { deadlineMs: GONE_MS });
  }

  /** Asks for the end of the pod if it still is as it was seen, and does not wait for it. */
  async discard(pod: PodView, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { name, uid, resourceVersion, deletesAt, sandbox } = pod;
    const isLate = deletesAt !== null && Date.now() - deletesAt.getTime() > FORCE_AFTER_MS;
    if (deletesAt !== null && !isLate) return;
    const gracePeriodSeconds = isLate ? 0 : GRACE_SECONDS;
    try {
      await this.#api.deletePod(name, { uid, resourceVersion, gracePeriodSeconds, ...options });
      // While the pod still ends: only then the controller would make another one.
      if (sandbox) await this.#objects.remove(sandbox, options);
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== 409) throw error;
    }
  }

  /**
   * Makes a pod of nobody that of the wish, if it still is as it was seen: of all who try at once, one can. Null: it is another's
   * now, or has ended.
   */
  async claim(seen: PodView, { pod, signal }: PodWish, activeDeadlineSeconds: number): Promise<PodView | null> {
    const { labels } = pod.metadata;
    const isOurs = (view: PodView) =>
      [LABELS.build, LABELS.attempt].every((label) => view.labels[label] === labels[label]);
    let there = seen;
    for (let tries = 0; tries < MAX_CLAIM_TRIES; tries += 1) {
      try {
        const options = { resourceVersion: there.resourceVersion, ...(signal ? { signal } : {}) };
        const change = { metadata: { labels }, spec: { activeDeadlineSeconds } };
        const claimed = await this.#api.patchPod(there.name, change, options);
        this.#watch.tell(claimed);
        return viewOfPod(claimed);
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof KubeError)) throw error;
        const found = await this.look(seen.name);
        if (found?.uid !== seen.uid) return null;
        // The answer was lost, not the change.
        if (isOurs(found)) return found;
        if (found.labels[LABELS.kind] !== 'warm' || lossOf(found) !== null) return null;
        if (error.status !== 409) throw error;
        there = found;
      }
    }
    return null;
  }

  /** Says whose it is now: what an earlier attempt has left is this one's. A later attempt's it stays. */
  async adopt(view: PodView, { pod }: PodWish): Promise<PodView> {
    const attempt = pod.metadata.labels[LABELS.attempt];
    let there = view;
    for (let tries = 1; attempt !== undefined && attemptOf(there) < Number(attempt); tries += 1) {
      const labels = { [LABELS.attempt]: attempt };
      try {
        if (there.sandbox) await this.#objects.adopt(there.sandbox, attempt);
        const { resourceVersion } = there;
        const adopted = await this.#api.patchPod(there.name, { metadata: { labels } }, { resourceVersion });
        this.#watch.tell(adopted);
        return viewOfPod(adopted) ?? there;
      } catch (error) {
        if (!(error instanceof KubeError) || error.status !== 409 || tries === MAX_CLAIM_TRIES) throw error;
        const found = await this.look(there.name);
        if (found?.uid !== view.uid) throw error;
        there = found;
      }
    }
    return there;
  }

  /** Null: it has ended, or its end has been asked for. */
  async #use({ name, uid }: PodView, buildId: string): Promise<PodView | null> {
    try {
      const annotations = { [USED]: `${new Date().toISOString()} ${buildId}` };
      const used = await this.#api.patchPod(name, { metadata: { annotations } });
      this.#watch.tell(used);
      const view = viewOfPod(used);
      return view?.uid === uid && lossOf(view) === null ? view : null;
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return null;
      throw error;
    }
  }

  /** Waits where a quota leaves no room yet. */
  async #createInTime(wish: PodWish, until: number): Promise<PodView> {
    const { pod, signal, onWait } = wish;
    let said = '';
    for (;;) {
      try {
        const made = await this.#sandboxes?.make(wish, until);
        return made ?? (await this.create(pod, signal ? { signal } : {}));
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof KubeError)) throw error;
        const there = error.reason === 'AlreadyExists' ? await this.look(pod.metadata.name) : undefined;
        if (there) return there;
        const isQuota = error.status === 403 && error.message.includes('exceeded quota');
        if (!isQuota || performance.now() > until) throw error;
        if (said !== error.message) onWait?.(`The build waits for room in the namespace: ${error.message}`);
        said = error.message;
        await delay(QUOTA_PAUSE_MS, undefined, signal ? { signal } : {});
      }
    }
  }

  async #awaitStart({ signal, onWait, startMs }: PodWish, pod: PodView, until: number): Promise<PodView> {
    const startedAt = performance.now();
    let said = '';
    const look = (view: PodView | undefined): boolean => {
      if (view === undefined || lossOf(view) !== null) return true;
      if (isRunning(view)) return true;
      const problem = startProblem(view);
      if (problem && problem.message !== said) onWait?.(problem.message);
      said = problem?.message ?? said;
      const isPull = problem !== null && /ImagePull|ErrImage/.test(problem.message);
      return problem?.isFinal === true || (isPull && performance.now() - startedAt > PULL_MS);
    };
    const deadlineMs = Math.max(1_000, until - performance.now());
    const view = await this.#watch
      .waitFor(pod.name, look, { deadlineMs, ...(signal ? { signal } : {}) })
      .catch((error: unknown) => {
        signal?.throwIfAborted();
        if (error instanceof KubeError && error.reason === 'Timeout') return this.#watch.get(pod.name);
        throw error;
      });
    if (view && isRunning(view) && lossOf(view) === null) return view;
    await this.remove(pod).catch(() => {});
    const problem = view && startProblem(view);
    if (problem) throw new Error(problem.message);
    throw lossOf(view) ?? new Error(`The pod did not start within ${Math.round(startMs / 1000)} s. ${said}`.trim());
  }
}

function endless(name: string): Error {
  return new Error(`The pod ${name} ended ${MAX_REPLACED} times before it was used.`);
}

/** Throws what is none: a worker that stops waiting has no reason for force. */
function isTimeout(error: unknown): true {
  if (error instanceof KubeError && error.reason === 'Timeout') return true;
  throw error;
}
