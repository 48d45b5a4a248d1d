/**
 * How a worker comes to its builds: it asks for some when there may be any, or is given some with a commit that accepts builds or
 * completes its own.
 */
import type { ClaimedBuild } from '../builds/build.ts';
import type { AttemptKey } from '../builds/claim-builds.ts';
import { Turns } from '../std/turns.ts';
import type { Coordinator, FreePlaces } from './coordinator.ts';
import type { Orders } from './orders.ts';
import type { Readiness } from './readiness.ts';

export interface ClaimsOptions {
  readonly coordinator: Pick<Coordinator, 'claim'>;
  readonly readiness: Pick<Readiness, 'isReady'>;
  readonly orders: Pick<Orders, 'heedLately'>;
  /** Places that no build has, or will have when so many have ended; none for a worker that drains. */
  readonly free: (ending: number) => number;
  /** These have ended, and their places may be others': not all of it is done yet. */
  readonly leave: (attempts: readonly AttemptKey[]) => void;
  /** Is it an attempt of this worker, of which nothing is alive when it ends? */
  readonly endsHere: (attempt: AttemptKey) => boolean;
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

  /**
   * Those that it has, and those that it will have when these attempts have ended. Nobody else claims for this worker until
   * they are released. Null: it has none, or claims at this moment, or what ends here leaves room that nothing waits for.
   */
  async keep(ending: readonly AttemptKey[]): Promise<FreePlaces | null> {
    const own = ending.filter(this.#options.endsHere);
    if (ending.length > 0 && (own.length === 0 || !this.#wants)) return null;
    const leave = this.turns.tryEnter();
    if (!leave) return null;
    const room = await this.#count(own.length).catch(() => 0);
    if (room <= 0) {
      leave();
      return null;
    }
    return {
      labels: this.#labels,
      count: room - own.length,
      ending: own,
      release: ({ claimed, ended, more }) => {
        this.#options.leave(ended);
        for (const build of claimed) this.#options.start(build);
        this.#wants = more ?? this.#wants;
        leave();
      },
    };
  }

  /**
   * Places that no build has, or will have when so many have ended; 0 while nothing may begin. Those count, too, that become
   * free while this is found out.
   */
  async places(ending = 0): Promise<number> {
    const { free, readiness, orders } = this.#options;
    if (free(ending) <= 0 || !(await readiness.isReady())) return 0;
    const { takesWork, labels } = await orders.heedLately();
    this.#labels = labels;
    return takesWork ? free(ending) : 0;
  }

  async #count(ending = 0): Promise<number> {
    return (await this.places(ending)) - this.#options.runningTasks();
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
