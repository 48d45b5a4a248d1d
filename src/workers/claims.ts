/** How a worker comes to its builds: it asks for some when there may be any, or is given some with the commit that accepts them. */
import type { ClaimedBuild } from '../builds/build.ts';
import { Turns } from '../std/turns.ts';
import type { Coordinator, FreePlaces } from './coordinator.ts';
import type { Orders } from './orders.ts';
import type { Readiness } from './readiness.ts';

export interface ClaimsOptions {
  readonly coordinator: Pick<Coordinator, 'claim'>;
  readonly readiness: Pick<Readiness, 'isReady'>;
  readonly orders: Pick<Orders, 'heedLately'>;
  /** Places that no build has; 0 for a worker that drains. */
  readonly free: () => number;
  readonly runningTasks: () => number;
  readonly start: (build: ClaimedBuild) => void;
}

export class Claims {
  /** Of builds and tasks: they fill the same places. */
  readonly turns = new Turns(1);
  readonly #options: ClaimsOptions;
  #labels: readonly string[] = [];
  #wants = true;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** As the last look at what is said of this worker gave them. */
  get labels(): readonly string[] {
    return this.#labels;
  }

  /** A place that becomes free is to be offered: the last look has not found all that waits. */
  get wants(): boolean {
    return this.#wants;
  }

  /** Until there is no more, or no room. */
  async claim(): Promise<void> {
    let more = true;
    while (more) more = await this.turns.take(() => this.#claimOnce());
  }

  /** Nobody else claims for this worker until they are released. Null: it has none, or claims at this moment. */
  async keep(): Promise<FreePlaces | null> {
    const leave = this.turns.tryEnter();
    if (!leave) return null;
    const count = await this.#count().catch(() => 0);
    if (count <= 0) {
      leave();
      return null;
    }
    return {
      labels: this.#labels,
      count,
      release: (claimed) => {
        for (const build of claimed) this.#options.start(build);
        if (claimed.length === count) this.#wants = true;
        leave();
      },
    };
  }

  /** Places that no build has; 0 while nothing may begin. Those count, too, that become free while this is found out. */
  async places(): Promise<number> {
    const { free, readiness, orders } = this.#options;
    if (free() <= 0 || !(await readiness.isReady())) return 0;
    const { takesWork, labels } = await orders.heedLately();
    this.#labels = labels;
    return takesWork ? free() : 0;
  }

  async #count(): Promise<number> {
    return (await this.places()) - this.#options.runningTasks();
  }

  /** May there be more to claim, and is there room? */
  async #claimOnce(): Promise<boolean> {
    this.#wants = true;
    const count = await this.#count();
    if (count <= 0) return false;
    const claimed = await this.#options.coordinator.claim(this.#labels, count);
    for (const build of claimed) this.#options.start(build);
    this.#wants = claimed.length === count;
    return this.#wants;
  }
}
