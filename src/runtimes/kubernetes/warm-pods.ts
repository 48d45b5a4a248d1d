/**
 * Pods that are prepared ahead. Workers look after them side by side, without a leader: each waits a random while and asks the
 * cluster again before it creates any, and what is too many all the same is removed by whoever sees it.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Turns } from '../../std/turns.ts';
import { KubeError } from './kube-error.ts';
import { type PlacesContext, wishOf } from './places.ts';
import { LABELS, SPEC_HASH } from './pod-layout.ts';
import { isRunning, lossOf } from './pod-loss.ts';
import type { PodView } from './pod-view.ts';
import type { PodWish } from './pods.ts';
import { planWarmPods, type WarmPlan, type WarmTarget } from './warm-plan.ts';

export interface WarmImage {
  readonly image: string;
  readonly count: number;
}

export interface WarmPodsOptions extends PlacesContext {
  readonly warm: readonly WarmImage[];
  /** At most so long a worker waits before it creates pods; default 2 s. */
  readonly jitterMs?: number;
  /** The pause after an image has failed for the first time; default 20 s. It is doubled each time. */
  readonly pauseMs?: number;
  /** So old a pod that runs must be before its image counts as sound; default 60 s. */
  readonly provenMs?: number;
}

interface Trouble {
  failures: number;
  /** performance.now() */
  until: number;
}

const JITTER_MS = 2_000;
const PAUSE_MS = 20_000;
const MAX_PAUSE_MS = 10 * 60_000;
const PROVEN_MS = 60_000;
/** Created in one round for one image. */
const MAX_CREATED = 10;
/** When so many were taken by others meanwhile, a cold pod is as good. */
const MAX_CLAIMS = 10;
/** Clocks differ, and the deadline of a pod is only there for when nobody else ends it. */
const SLACK_SECONDS = 5 * 60;

export function openWarmPods(options: WarmPodsOptions): WarmPods {
  return new WarmPods(options);
}

export class WarmPods implements AsyncDisposable {
  readonly #options: WarmPodsOptions;
  readonly #targets: readonly WarmTarget[];
  readonly #rounds = new Turns(1);
  readonly #closing = new AbortController();
  readonly #troubles = new Map<WarmTarget, Trouble>();
  readonly #taken = new Map<WarmTarget, number>();
  #refilling: Promise<void> | null = null;

  constructor(options: WarmPodsOptions) {
    this.#options = options;
    this.#targets = options.warm.map(({ image, count }) => ({ image, count, specHash: specHash(this.#wish(image)) }));
  }

  /** A running pod that is now the wish's; null: there is none like it, and a cold one is to be made. */
  async take(wish: PodWish): Promise<PodView | null> {
    const wanted = specHash(wish);
    const fitting = this.#known().filter((pod) => pod.annotations[SPEC_HASH] === wanted && this.#isUsable(pod));
    const first = Math.floor(Math.random() * fitting.length);
    const tried = [...fitting.slice(first), ...fitting.slice(0, first)].slice(0, MAX_CLAIMS);
    try {
      for (const pod of tried) {
        const claimed = await this.#options.pods.claim(pod, wish, this.#deadlineFor(pod, wish));
        if (claimed === null) continue;
        this.#replace(wanted);
        return claimed;
      }
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      this.#options.onError(error);
    }
    return null;
  }

  /** Creates what is missing and removes what nobody needs; again and again, by each worker. */
  async tend(): Promise<void> {
    const { jitterMs = JITTER_MS, watch } = this.#options;
    if (!watch.isCurrent) return;
    const { remove, missing } = this.#plan(this.#known());
    if (remove.length === 0 && missing.size === 0) return;
    await delay(Math.random() * jitterMs, undefined, { signal: this.#closing.signal });
    await this.#round(() => MAX_CREATED);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#refilling;
  }

  /** One is created at once for each that was taken: whoever took it is the first to know, and the only one at that moment. */
  #replace(wanted: string): void {
    const target = this.#targets.find((one) => one.specHash === wanted);
    if (!target) return;
    this.#taken.set(target, (this.#taken.get(target) ?? 0) + 1);
    this.#refilling ??= this.#replaceTaken()
      .catch((error: unknown) => {
        if (!this.#closing.signal.aborted) this.#options.onError(error);
      })
      .finally(() => {
        this.#refilling = null;
      });
  }

  async #replaceTaken(): Promise<void> {
    while (this.#taken.size > 0) {
      const taken = new Map(this.#taken);
      this.#taken.clear();
      await this.#round((target) => taken.get(target) ?? 0);
    }
  }

  async #round(mostOf: (target: WarmTarget) => number): Promise<void> {
    const { pods } = this.#options;
    const { signal } = this.#closing;
    await this.#rounds.take(async () => {
      const plan = this.#plan(await pods.list(LABELS.kind, 'warm', { signal }));
      for (const [target, message] of plan.failed) this.#fail(target, message);
      for (const pod of plan.remove) await pods.discard(pod, { signal });
      for (const [target, count] of plan.missing) {
        if (!plan.failed.has(target)) await this.#create(target, Math.min(count, mostOf(target)));
      }
    });
  }

  /** Of images that have failed nothing is missing for a while, then one pod, and all when that one has proved to run. */
  #plan(pods: readonly PodView[]): WarmPlan {
    const { startSeconds, provenMs = PROVEN_MS } = this.#options;
    const ages = { now: Date.now(), startMs: startSeconds * 1000, maxAgeMs: this.#maxAgeMs, provenMs };
    const plan = planWarmPods({ pods, targets: this.#targets, ...ages });
    const missing = new Map(plan.missing);
    const now = performance.now();
    for (const [target, trouble] of this.#troubles) {
      const count = missing.get(target) ?? 0;
      const isStarting = plan.starting.has(target);
      const isOver = count === 0 || now > trouble.until + MAX_PAUSE_MS;
      if (isOver && !isStarting) this.#troubles.delete(target);
      else if (isStarting || now < trouble.until) missing.delete(target);
      else if (count === target.count) missing.set(target, 1);
    }
    return { ...plan, missing };
  }

  async #create(target: WarmTarget, count: number): Promise<void> {
    const { pods } = this.#options;
    try {
      for (let created = 0; created < count; created += 1) {
        await pods.create(this.#wish(target.image).pod, { signal: this.#closing.signal });
      }
    } catch (error) {
      if (!(error instanceof KubeError) || error.status === null || error.retryable) throw error;
      this.#fail(target, error.message);
    }
  }

  #fail(target: WarmTarget, message: string): void {
    const { pauseMs = PAUSE_MS, onError } = this.#options;
    const failures = (this.#troubles.get(target)?.failures ?? 0) + 1;
    const pause = Math.min(MAX_PAUSE_MS, pauseMs * 2 ** Math.min(failures - 1, 16)) * (1 + Math.random() / 4);
    this.#troubles.set(target, { failures, until: performance.now() + pause });
    if (failures > 1) return;
    onError(new Error(`No pod is kept warm for ${target.image}; that is tried again ever more rarely: ${message}`));
  }

  #known(): PodView[] {
    return this.#options.watch.labelled(LABELS.kind, 'warm');
  }

  /** How long one waits for a build. */
  get #maxAgeMs(): number {
    return this.#options.pod.deadlineSeconds * 1000;
  }

  #isUsable(pod: PodView): boolean {
    return isRunning(pod) && lossOf(pod) === null && ageMs(pod) < this.#maxAgeMs;
  }

  /** From the start of the pod, as all deadlines; never later than the one that it has. */
  #deadlineFor(pod: PodView, wish: PodWish): number {
    const { deadlineSeconds } = this.#options.pod;
    const seconds = wish.pod.spec?.activeDeadlineSeconds ?? deadlineSeconds;
    return Math.min(2 * deadlineSeconds, Math.ceil(ageMs(pod) / 1000) + seconds + SLACK_SECONDS);
  }

  /** Without a network: which build it will be for is not known, and one that may have it is given it. */
  #wish(image: string): PodWish {
    const name = `slipway-warm-${randomBytes(5).toString('hex')}`;
    const needs = { image, network: { access: 'NONE', hosts: [] } } as const;
    return wishOf(this.#options, needs, { name, kind: 'warm', buildId: null });
  }
}

function ageMs({ createdAt }: PodView): number {
  return Math.max(0, Date.now() - createdAt.getTime());
}

function specHash({ pod }: PodWish): string {
  return pod.metadata.annotations?.[SPEC_HASH] ?? '';
}
