/** Remote workers that wait for something to do: what NOTIFY is to those beside the database. */
import type { EventHub } from '../events/event-hub.ts';
import { ordersTopic, QUEUE_TOPIC, workerTopic, workTopic } from '../events/topics.ts';

export interface Hint {
  /** There may be a build to claim. */
  readonly work: boolean;
  /** An administrator has said something of the worker. */
  readonly orders: boolean;
  /** Builds that somebody has told something. */
  readonly told: readonly string[];
}

export class WorkerHints implements Disposable {
  readonly #hub: Pick<EventHub, 'on'>;
  readonly #waiting = new Set<() => void>();
  #closed = false;

  constructor(hub: Pick<EventHub, 'on'>) {
    this.#hub = hub;
  }

  /** Resolves at the first hint, when the time is over, when the caller is gone, and when the server closes. */
  async next(
    { workerId, buildIds }: { readonly workerId: string; readonly buildIds: readonly string[] },
    { ms, gone }: { readonly ms: number; readonly gone: AbortSignal },
  ): Promise<Hint> {
    let work = false;
    let orders = false;
    const told = new Set<string>();
    if (this.#closed || gone.aborted) return { work, orders, told: [] };
    const { promise, resolve } = Promise.withResolvers<void>();
    const offs = buildIds.map((id) =>
      this.#hub.on(workerTopic(id), () => {
        told.add(id);
        resolve();
      }),
    );
    const onWork = () => {
      work = true;
      resolve();
    };
    offs.push(
      this.#hub.on(QUEUE_TOPIC, onWork),
      this.#hub.on(workTopic(workerId), onWork),
      this.#hub.on(ordersTopic(workerId), () => {
        orders = true;
        resolve();
      }),
    );
    const timer = setTimeout(resolve, ms);
    gone.addEventListener('abort', () => resolve(), { once: true });
    this.#waiting.add(resolve);
    await promise;
    this.#waiting.delete(resolve);
    clearTimeout(timer);
    for (const off of offs) off();
    return { work, orders, told: [...told] };
  }

  /** Whoever waits is answered: it asks another process. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const resolve of this.#waiting) resolve();
  }
}
