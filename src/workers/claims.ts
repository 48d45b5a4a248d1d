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

/** A statement on its way, and the places that it may fill. */
interface Look {
  readonly count: number;
  readonly ending: readonly AttemptKey[];
  readonly over: Promise<void>;
}

export class Claims {
  /** Of builds and tasks: they fill the same places. */
  readonly turns = new Turns(1);
  readonly #options: ClaimsOptions;
  readonly #looking = new Set<Look>();
  #labels: readonly string[] = [];
  #wants = true;
  /** The one that was sent last. */
  #last: Look | null = null;

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

  /** Resolves when no claim is on its way. */
  async settled(): Promise<void> {
    await this.turns.take(async () => {});
    while (this.#looking.size > 0) await Promise.all([...this.#looking].map(({ over }) => over));
  }

  /**
   * Those that it has, and those that it will have when these attempts have ended: nobody else claims for this worker until they
   * are released, but for what gives its own places away meanwhile, and no others. Null: it has none, or others claim at this
   * moment and nothing of it ends, or what ends here leaves room that nothing waits for.
   */
  async keep(ending: readonly AttemptKey[]): Promise<FreePlaces | null> {
    const own = ending.filter(this.#options.endsHere);
    if (ending.length > 0 && (own.length === 0 || !this.#wants)) return null;
    const leave = this.turns.tryEnter();
    if (!leave && own.length === 0) return null;
    const mayBegin = await this.#mayBegin(own.length).catch(() => false);
    const room = mayBegin ? this.#room(own.length) - this.#options.runningTasks() : 0;
    const count = leave ? room : Math.min(room, own.length);
    if (count <= 0) {
      leave?.();
      return null;
    }
    const end = this.#look(count, own);
    return {
      labels: this.#labels,
      count: count - own.length,
      ending: own,
      release: ({ claimed, ended, more }) => {
        this.#options.leave(ended);
        for (const build of claimed) this.#options.start(build);
        end(more);
        leave?.();
      },
    };
  }

  /** Places that no build has, or will have; 0 while nothing may begin. */
  async places(): Promise<number> {
    return (await this.#mayBegin()) ? this.#room() : 0;
  }

  async #mayBegin(ending = 0): Promise<boolean> {
    const { readiness, orders } = this.#options;
    if (this.#room(ending) <= 0 || !(await readiness.isReady())) return false;
    const { takesWork, labels } = await orders.heedLately();
    this.#labels = labels;
    return takesWork;
  }

  /** When so many have ended, and what is on its way has filled all that it may. */
  #room(ending = 0): number {
    let leaving = ending;
    let kept = 0;
    for (const look of this.#looking) {
      leaving += look.ending.filter(this.#options.endsHere).length;
      kept += look.count;
    }
    return this.#options.free(leaving) - kept;
  }

  /** Gives what is to be called at its end, with whether there is more to claim; null: nobody has looked. */
  #look(count: number, ending: readonly AttemptKey[]): (more: boolean | null) => void {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const look = { count, ending, over };
    this.#looking.add(look);
    this.#last = look;
    return (more) => {
      this.#looking.delete(look);
      // They may be answered in any order: only the last one knows that there is no more.
      if (more !== null && (more || look === this.#last)) this.#wants = more;
      resolve();
    };
  }

  /** May there be more to claim, and is there room? */
  async #claimOnce(): Promise<boolean> {
    this.#wants = true;
    const mayBegin = await this.#mayBegin();
    const count = mayBegin ? this.#room() - this.#options.runningTasks() : 0;
    if (count <= 0) return false;
    const end = this.#look(count, []);
    let more: boolean | null = null;
    try {
      const claimed = await this.#options.coordinator.claim(this.#labels, count);
      for (const build of claimed) this.#options.start(build);
      more = claimed.length === count;
      return more;
    } finally {
      end(more);
    }
  }
}
