/** What a server lets a remote worker know at once, by a long poll. All of it may be lost: whoever is told looks by himself, only later. */
import { setTimeout as delay } from 'node:timers/promises';
import type { TaskLease } from '../workers/task-coordinator.ts';
import type { RequestOptions } from './connection.ts';
import { type Answers, MAX_HINT_SECONDS, type RequestOf } from './protocol.ts';

const HINT_GRACE_MS = 10_000;
/** Between two questions for hints, so that a server that answers at once is not flooded. */
const HINT_PAUSE_MS = 250;
const HINT_AGAIN_MS = 2_000;
/** Of one question. */
const MAX_ASKED = 1_000;

type Wake = () => void;
type Ask = (request: RequestOf<'hints'>, options: RequestOptions) => Promise<Answers['hints']>;

export class ApiHints {
  readonly #ask: Ask;
  /** By the id of a build. */
  readonly #builds = new Map<string, Wake>();
  /** By the lease. */
  readonly #tasks = new Map<string, { readonly lease: TaskLease; readonly wake: Wake }>();
  #onOrders: Wake = () => {};
  /** Null: this worker takes no tasks. */
  #onTasks: Wake | null = null;
  /** Ends the present question: another one is asked at once. */
  #question = new AbortController();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** Asks from now on, for this and whatever else is listened for. */
  onWork(wake: Wake): () => void {
    const stop = new AbortController();
    void this.#listen(wake, stop.signal);
    return () => {
      stop.abort();
      this.#question.abort();
    };
  }

  onOrders(wake: Wake): () => void {
    this.#onOrders = wake;
    return () => {
      this.#onOrders = () => {};
    };
  }

  onTasks(wake: Wake): () => void {
    this.#onTasks = wake;
    this.#question.abort();
    return () => {
      this.#onTasks = null;
    };
  }

  onBuildTold(buildId: string, wake: Wake): () => void {
    this.#builds.set(buildId, wake);
    this.#question.abort();
    return () => {
      if (this.#builds.get(buildId) === wake) this.#builds.delete(buildId);
    };
  }

  onTaskTold({ id, leaseToken }: TaskLease, wake: Wake): () => void {
    this.#tasks.set(leaseToken, { lease: { id, leaseToken }, wake });
    this.#question.abort();
    return () => {
      this.#tasks.delete(leaseToken);
    };
  }

  async #listen(wake: Wake, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      this.#question = new AbortController();
      const options = { withinMs: MAX_HINT_SECONDS * 1_000 + HINT_GRACE_MS, signal: this.#question.signal };
      const hint = await this.#ask(this.#asked(), options).catch(() => null);
      if (hint) this.#tell(hint, wake);
      const pauseMs = hint || this.#question.signal.aborted ? HINT_PAUSE_MS : HINT_AGAIN_MS;
      await delay(pauseMs, undefined, { signal: stop, ref: false }).catch(() => {});
    }
  }

  #asked(): RequestOf<'hints'> {
    const leases = [...this.#tasks.values()].map(({ lease }) => lease).slice(0, MAX_ASKED);
    return {
      buildIds: [...this.#builds.keys()].slice(0, MAX_ASKED),
      seconds: MAX_HINT_SECONDS,
      ...(this.#onTasks ? { tasks: leases } : {}),
    };
  }

  #tell({ work, tasks, orders, told }: Answers['hints'], wake: Wake): void {
    if (work) wake();
    // What has ended may have held back a task as well as a build.
    if (work || tasks) this.#onTasks?.();
    if (orders) this.#onOrders();
    const ids = new Set(told);
    for (const id of ids) this.#builds.get(id)?.();
    for (const { lease, wake: wakeTask } of this.#tasks.values()) if (ids.has(lease.id)) wakeTask();
  }
}
