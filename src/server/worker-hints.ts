/** Remote workers that wait for something to do: what NOTIFY is to those beside the database. */
import type { EventHub } from '../events/event-hub.ts';
import { BUILDS_TOPIC, ordersTopic, QUEUE_TOPIC, TASKS_TOPIC, type Topic, workTopic } from '../events/topics.ts';

export interface Hint {
  /** There may be a build to claim, or a task that something has held back. */
  readonly work: boolean;
  /** There may be a task to claim. */
  readonly tasks: boolean;
  /** An administrator has said something of the worker. */
  readonly orders: boolean;
  /** Builds and tasks to which something has happened. */
  readonly told: readonly string[];
}

interface Listener {
  readonly workerId: string;
  /** Of what it runs, by the id. */
  readonly topics: ReadonlyMap<string, Topic>;
  readonly takesTasks: boolean;
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
    { workerId, topics, takesTasks }: Listener,
    { ms, gone }: { readonly ms: number; readonly gone: AbortSignal },
  ): Promise<Hint> {
    let work = false;
    let tasks = false;
    let orders = false;
    const told = new Set<string>();
    if (this.#closed || gone.aborted) return { work, tasks, orders, told: [] };
    const { promise, resolve } = Promise.withResolvers<void>();
    const offs = [...topics].map(([id, topic]) =>
      this.#hub.on(topic, () => {
        told.add(id);
        resolve();
      }),
    );
    const onWork = () => {
      work = true;
      resolve();
    };
    offs.push(
      this.#hub.on(BUILDS_TOPIC, onWork),
      this.#hub.on(QUEUE_TOPIC, onWork),
      this.#hub.on(workTopic(workerId), onWork),
      this.#hub.on(ordersTopic(workerId), () => {
        orders = true;
        resolve();
      }),
    );
    if (takesTasks) {
      offs.push(
        this.#hub.on(TASKS_TOPIC, () => {
          tasks = true;
          resolve();
        }),
      );
    }
    const timer = setTimeout(resolve, ms);
    gone.addEventListener('abort', () => resolve(), { once: true });
    this.#waiting.add(resolve);
    await promise;
    this.#waiting.delete(resolve);
    clearTimeout(timer);
    for (const off of offs) off();
    return { work, tasks, orders, told: [...told] };
  }

  /** Whoever waits is answered: it asks another process. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const resolve of this.#waiting) resolve();
  }
}
