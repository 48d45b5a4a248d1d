/**
 * What the pods of a label selector are doing, now. A watch tells at once, a list every ten seconds is the truth: nothing
 * depends on a stream that may have fallen silent, and a deletion that no event told is seen by the next list.
 */
import type { KubeApi } from './kube-api.ts';
import { KubeError } from './kube-error.ts';
import { type IndexedLabel, PodTable } from './pod-table.ts';
import { type PodView, viewOfPod } from './pod-view.ts';
import { readWatchStream } from './watch-stream.ts';

export interface PodWatchOptions {
  readonly api: KubeApi;
  readonly labelSelector: string;
  /** What went wrong and is tried again: for the log. */
  onError(error: unknown): void;
  /** Default 10 s. */
  readonly listEveryMs?: number;
  /** What is known counts as current so long after a list or an event, and for two pauses where lists are rarer; default 30 s. */
  readonly currentMs?: number;
  /** A watch that says nothing for so long is opened anew; default 120 s. */
  readonly silenceMs?: number;
  /** When the server ends a watch; default 240 s. */
  readonly timeoutSeconds?: number;
  /** The longest pause between two tries; default 15 s. */
  readonly maxPauseMs?: number;
}

export type PodListener = (pod: PodView | undefined) => void;

const LIST_EVERY_MS = 10_000;
/** Between two lists at least so many times as long as the first took: ten thousand pods are a hundred megabytes. */
const LIST_REST = 20;
const MAX_REST_MS = 120_000;
const CURRENT_MS = 30_000;
const SILENCE_MS = 120_000;
const TIMEOUT_SECONDS = 240;
const MAX_PAUSE_MS = 15_000;
const FIRST_PAUSE_MS = 250;
const HEADERS_MS = 20_000;
/** A watch that stood so long was worth opening, whatever it told. */
const USEFUL_MS = 5_000;

/** Begins to list and to watch at once, and goes on until it is disposed of. Nothing is known before the first list. */
export function openPodWatch(options: PodWatchOptions): PodWatch {
  return new PodWatch(options);
}

export class PodWatch implements AsyncDisposable {
  readonly #options: PodWatchOptions;
  readonly #table = new PodTable((name) => this.#notify(name));
  readonly #listeners = new Map<string, Set<PodListener>>();
  readonly #closing = new AbortController();
  readonly #listNap = new Nap();
  readonly #watchNap = new Nap();
  readonly #loops: Promise<unknown>;
  /** The version that the watch goes on from; null: a list has to say. */
  #from: string | null = null;
  #stream: AbortController | null = null;
  #streamHeardAt = 0;
  /** Of the last list or event; null before the first list. */
  #heardAt: number | null = null;
  /** Before the next list. */
  #restMs = 0;

  constructor(options: PodWatchOptions) {
    this.#options = options;
    this.#loops = Promise.all([this.#keepListing(), this.#keepWatching()]);
  }

  /** A list or an event has come lately: who is not here is gone. */
  get isCurrent(): boolean {
    const { currentMs = CURRENT_MS, listEveryMs = LIST_EVERY_MS } = this.#options;
    // Lists that take long are rare: that nothing happens between two of them is no news.
    const horizonMs = this.#restMs > listEveryMs ? Math.max(currentMs, 2 * this.#restMs) : currentMs;
    return this.#heardAt !== null && performance.now() - this.#heardAt <= horizonMs;
  }

  get(name: string): PodView | undefined {
    return this.#table.get(name);
  }

  labelled(label: IndexedLabel, value: string): PodView[] {
    return this.#table.labelled(label, value);
  }

  /** What a call of ours has answered is known at once, so that nobody takes a new pod for one that is gone. */
  tell(pod: unknown): void {
    const view = viewOfPod(pod);
    if (view) this.#table.tell(view, { deleted: false });
  }

  /** Asks the cluster now, instead of at the next turn. */
  refresh(): void {
    this.#listNap.wake();
  }

  /** Called at every change of the pod of this name, with undefined when it is gone. Gives what ends that. */
  onChange(name: string, listener: PodListener): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name);
    };
  }

  /**
   * Resolves with the pod as soon as the predicate holds, which is asked now and at every change; undefined is a pod that is
   * gone. A name may be taken again at once: who waits for an end compares the uid. Rejects with a KubeError: Timeout,
   * Aborted.
   */
  waitFor(
    name: string,
    predicate: (pod: PodView | undefined) => boolean,
    options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  ): Promise<PodView | undefined> {
    const { deadlineMs, signal } = options;
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        stopListening();
        for (const one of signals) one.removeEventListener('abort', onAbort);
        finish();
      };
      const check = () => {
        if (this.#heardAt === null) return;
        try {
          const pod = this.get(name);
          if (predicate(pod)) settle(() => resolve(pod));
        } catch (error) {
          settle(() => reject(error));
        }
      };
      const onAbort = () => settle(() => reject(failure('Aborted', `Nobody waits for the pod ${name} any more.`)));
      const onLate = () =>
        settle(() => reject(failure('Timeout', `The pod ${name} was not what it was to be within ${deadlineMs} ms.`)));
      const timer = setTimeout(onLate, deadlineMs);
      const stopListening = this.onChange(name, check);
      const signals = [this.#closing.signal, ...(signal ? [signal] : [])];
      for (const one of signals) one.addEventListener('abort', onAbort, { once: true });
      if (signals.some((one) => one.aborted)) onAbort();
      else check();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#stream?.abort();
    this.#listNap.wake();
    this.#watchNap.wake();
    await this.#loops;
  }

  async #keepListing(): Promise<void> {
    const { listEveryMs = LIST_EVERY_MS } = this.#options;
    let failures = 0;
    while (!this.#isClosing) {
      const startedAt = performance.now();
      try {
        await this.#list();
        failures = 0;
        this.#restMs = Math.min(MAX_REST_MS, LIST_REST * (performance.now() - startedAt));
      } catch (error) {
        failures += 1;
        this.#report(error);
      }
      const pauseMs = failures === 0 ? Math.max(listEveryMs, this.#restMs) : this.#pauseMs(failures);
      if (!this.#isClosing) await this.#listNap.take(pauseMs);
    }
  }

  async #list(): Promise<void> {
    const { api, labelSelector } = this.#options;
    const startedAt = performance.now();
    const begunAt = this.#table.beginList();
    const pods: PodView[] = [];
    let resourceVersion = '';
    for await (const page of api.podPages({ labelSelector, signal: this.#closing.signal })) {
      for (const item of page.items) {
        const pod = viewOfPod(item);
        if (pod) pods.push(pod);
      }
      resourceVersion = page.resourceVersion;
    }
    const missed = this.#table.replace({ begunAt, pods, resourceVersion });
    const isFirst = this.#heardAt === null;
    this.#heardAt = performance.now();
    if (isFirst) for (const name of [...this.#listeners.keys()]) this.#notify(name);
    // A stream that did not tell what the list shows, and nothing else since, may never tell anything.
    const isDeaf = missed && this.#stream !== null && this.#streamHeardAt < startedAt;
    const isAwaited = this.#from === null;
    if (isAwaited || isDeaf) this.#from = resourceVersion;
    if (isAwaited) this.#watchNap.wake();
    if (isDeaf) this.#stream?.abort();
  }

  async #keepWatching(): Promise<void> {
    let failures = 0;
    while (!this.#isClosing) {
      if (this.#from === null) {
        await this.#watchNap.take(null);
        continue;
      }
      const startedAt = performance.now();
      try {
        await this.#watch(this.#from);
      } catch (error) {
        if (this.#isClosing) return;
        this.#from = null;
        this.#report(error);
      }
      const wasUseful = this.#streamHeardAt >= startedAt || performance.now() - startedAt > USEFUL_MS;
      failures = wasUseful ? 0 : failures + 1;
      if (failures > 0 || this.#from === null) await this.#watchNap.take(this.#pauseMs(failures));
      if (this.#from === null) this.#listNap.wake();
    }
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { api, labelSelector } = this.#options;
    const stream = new AbortController();
    this.#stream = stream;
    try {
      await readWatchStream({
        ...{ api, labelSelector, resourceVersion, headersMs: HEADERS_MS, signal: stream.signal },
        timeoutSeconds: this.#options.timeoutSeconds ?? TIMEOUT_SECONDS,
        silenceMs: this.#options.silenceMs ?? SILENCE_MS,
        onEvent: (event) => {
          if (stream.signal.aborted) return;
          this.#streamHeardAt = performance.now();
          this.#heardAt = this.#heardAt === null ? null : this.#streamHeardAt;
          if (event.pod) this.#table.tell(event.pod, event);
          this.#from = event.resourceVersion;
        },
      });
    } catch (error) {
      // Ended by a list, which has said where to go on.
      if (!stream.signal.aborted) throw error;
    } finally {
      this.#stream = null;
    }
  }

  get #isClosing(): boolean {
    return this.#closing.signal.aborted;
  }

  #notify(name: string): void {
    const pod = this.get(name);
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(pod);
      } catch (error) {
        // It does not end the watch of all others.
        this.#report(error);
      }
    }
  }

  #report(error: unknown): void {
    if (!this.#isClosing) this.#options.onError(error);
  }

  #pauseMs(failures: number): number {
    const { maxPauseMs = MAX_PAUSE_MS } = this.#options;
    return Math.min(maxPauseMs, FIRST_PAUSE_MS * 2 ** Math.min(failures, 16)) * (0.5 + Math.random() / 2);
  }
}

/** A pause that somebody may end, also just before it begins. */
class Nap {
  #isWoken = false;
  #wake: (() => void) | null = null;

  wake(): void {
    if (this.#wake) this.#wake();
    else this.#isWoken = true;
  }

  /** `milliseconds` null: until woken. */
  async take(milliseconds: number | null): Promise<void> {
    if (!this.#isWoken) {
      await new Promise<void>((resolve) => {
        const timer = milliseconds === null ? undefined : setTimeout(resolve, milliseconds);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = null;
    this.#isWoken = false;
  }
}

function failure(reason: 'Aborted' | 'Timeout', message: string): KubeError {
  return new KubeError({ status: null, reason, message, retryable: reason === 'Timeout' });
}
