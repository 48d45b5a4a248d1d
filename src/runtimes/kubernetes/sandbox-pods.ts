/**
 * Pods of builds made by the controller of Sandbox objects instead of by a worker. From then on they are pods as all others;
 * only, their Sandbox goes before them, else it would make them again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeApi } from './kube-api.ts';
import { KubeError } from './kube-error.ts';
import { attemptOf, buildPodName, LABELS, ownSelector } from './pod-layout.ts';
import type { PodView } from './pod-view.ts';
import type { PodWatch } from './pod-watch.ts';
import type { PodWish } from './pods.ts';
import { SandboxObjects, type SandboxView } from './sandbox-objects.ts';

/** `auto`: where the cluster had the definition when it was first asked. */
export type SandboxUse = 'auto' | 'true' | 'false';

export interface SandboxPodsOptions {
  readonly api: KubeApi;
  readonly watch: PodWatch;
  /** Whose they are: others of the namespace are left alone. */
  readonly instance: string;
  readonly use: SandboxUse;
  readonly onError: (error: unknown) => void;
}

/** How often a Sandbox without a pod is asked why. */
const ASK_EVERY_MS = 2_000;
const MISSING =
  'SLIPWAY_KUBERNETES_SANDBOX is true, and the cluster has no definition of Sandbox (agents.x-k8s.io, v1beta1 or v1alpha1): ' +
  'install kubernetes-sigs/agent-sandbox there, or set it to auto or false.';

/** Does not wait for a cluster that does not answer. Rejects with a KubeError (NotConfigured) where one lacks what is to be used. */
export async function openSandboxPods(options: SandboxPodsOptions): Promise<SandboxPods> {
  const opened = new SandboxPods(options);
  try {
    await opened.areUsed();
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'NotConfigured') throw error;
    options.onError(error);
  }
  return opened;
}

export class SandboxPods {
  readonly #options: SandboxPodsOptions;
  readonly #objects: SandboxObjects;
  /** Undefined: nobody has answered yet. */
  #version: string | null | undefined;

  constructor(options: SandboxPodsOptions) {
    this.#options = options;
    this.#objects = new SandboxObjects(options.api);
    if (options.use === 'false') this.#version = null;
  }

  async areUsed(): Promise<boolean> {
    return (await this.#findVersion()) !== null;
  }

  /** The pod of this name as soon as it is there; null where Sandboxes are not used. Throws with the controller's words when it is late. */
  async make(wish: PodWish, until: number): Promise<PodView | null> {
    const version = await this.#findVersion();
    if (version === null) return null;
    let sandbox = await this.#place(version, wish, until);
    let said = '';
    for (;;) {
      const pod = await this.#awaitPod(sandbox, wish, until);
      if (pod) return pod;
      sandbox = await this.#lookAgain(sandbox, wish);
      const { problem } = sandbox;
      if (problem !== '' && problem !== said) wish.onWait?.(`The Sandbox has no pod yet: ${problem}`);
      said = problem;
      if (performance.now() <= until) continue;
      await this.#objects.remove(sandbox);
      const seconds = Math.round(wish.startMs / 1000);
      throw new Error(`The controller made no pod of the Sandbox ${sandbox.name} within ${seconds} s. ${said}`.trim());
    }
  }

  /** True when there was one of this build. Its pod is to be removed after it. */
  async remove(buildId: string): Promise<boolean> {
    const version = await this.#findVersion();
    const sandbox = version && (await this.#objects.find(version, buildPodName(buildId)));
    if (!sandbox || !this.#isOurs(sandbox)) return false;
    await this.#objects.remove(sandbox);
    return true;
  }

  /** Ids of the builds that have one, with a pod or without. */
  async builds(): Promise<string[]> {
    const version = await this.#findVersion();
    if (version === null) return [];
    const all = await this.#objects.list(version, ownSelector(this.#options.instance));
    return all.flatMap(({ labels }) => labels[LABELS.build] ?? []);
  }

  async #findVersion(): Promise<string | null> {
    if (this.#version !== undefined) return this.#version;
    const found = await this.#objects.findVersion();
    if (found === null && this.#options.use === 'true') {
      throw new KubeError({ status: null, reason: 'NotConfigured', message: MISSING, retryable: false });
    }
    this.#version = found;
    return found;
  }

  /** What an earlier attempt has left without a pod goes; a later attempt's stays. Waits for a server that has just started. */
  async #place(version: string, { pod, signal }: PodWish, until: number): Promise<SandboxView> {
    const { name } = pod.metadata;
    const options = signal ? { signal } : {};
    for (;;) {
      try {
        return await this.#objects.create(version, pod, options);
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        if (isUnserved(error) && performance.now() <= until) {
          await delay(ASK_EVERY_MS, undefined, options);
          continue;
        }
        if (error.reason !== 'AlreadyExists') throw error;
      }
      const there = await this.#objects.find(version, name);
      if (there && !this.#isOurs(there)) throw new Error(`The Sandbox ${name} is another installation's.`);
      if (there && !there.isEnding && attemptOf(there) >= attemptOf(pod.metadata)) return there;
      if (performance.now() > until) throw new Error(`The Sandbox ${name} of an earlier attempt does not end.`);
      if (there?.isEnding) await delay(ASK_EVERY_MS, undefined, options);
      else if (there) await this.#objects.remove(there, options);
    }
  }

  #isOurs({ labels }: SandboxView): boolean {
    return labels[LABELS.instance] === this.#options.instance;
  }

  /** As it was where the server cannot say how it is. */
  async #lookAgain(sandbox: SandboxView, { signal }: PodWish): Promise<SandboxView> {
    const { version, name } = sandbox;
    const there = await this.#objects.find(version, name).catch((error: unknown) => {
      if (error instanceof KubeError && (error.retryable || isUnserved(error))) return sandbox;
      throw error;
    });
    signal?.throwIfAborted();
    if (there === null) throw new Error(`Somebody has deleted the Sandbox ${name} before it had a pod.`);
    return there;
  }

  async #awaitPod({ name, uid }: SandboxView, { signal }: PodWish, until: number): Promise<PodView | undefined> {
    const isIts = (pod: PodView | undefined) => pod?.sandbox?.uid === uid;
    const deadlineMs = Math.min(ASK_EVERY_MS, Math.max(1, until - performance.now()));
    try {
      return await this.#options.watch.waitFor(name, isIts, { deadlineMs, ...(signal ? { signal } : {}) });
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof KubeError && error.reason === 'Timeout') return undefined;
      throw error;
    }
  }
}

/** The server has just started, and does not know its definitions yet. */
function isUnserved({ status, reason }: KubeError): boolean {
  return status === 404 && reason !== 'NotFound';
}
