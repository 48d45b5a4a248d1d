/** The product's worker whose builds end as soon as they have begun: everything around an agent, without one. */
import type { ClaimedBuild } from '../src/builds/build.ts';
import type { AttemptKey } from '../src/builds/claim-builds.ts';
import type { Ledger } from '../src/builds/ledger.ts';
import { SupersededError } from '../src/errors.ts';
import type { Orchestrator } from '../src/orchestrator.ts';
import type { FreePlaces } from '../src/workers/coordinator.ts';
import { PostgresCoordinator } from '../src/workers/postgres-coordinator.ts';
import { Worker } from '../src/workers/worker.ts';

/** When builds have come to one point, by the clock that all processes of a machine share. */
export class Arrivals {
  readonly #at = new Map<string, bigint>();
  readonly #waiting = new Map<string, (at: bigint) => void>();
  #count = 0;

  /** How often any has. */
  get count(): number {
    return this.#count;
  }

  add(id: string): void {
    const at = process.hrtime.bigint();
    this.#count += 1;
    this.#at.set(id, at);
    this.#waiting.get(id)?.(at);
    this.#waiting.delete(id);
  }

  /** Nanoseconds, as `process.hrtime.bigint()` gives them; when all of these have come. */
  of(ids: readonly string[]): Promise<bigint[]> {
    return Promise.all(ids.map((id) => this.#at.get(id) ?? new Promise<bigint>((done) => this.#waiting.set(id, done))));
  }
}

export interface Lives {
  readonly starts: Arrivals;
  /** Committed. */
  readonly ends: Arrivals;
}

class CoordinatorWithoutAgents extends PostgresCoordinator {
  readonly #lives: Lives;
  readonly #ledgers = new Map<string, Ledger>();

  constructor(orchestrator: Orchestrator, worker: Worker, lives: Lives) {
    super(orchestrator, { id: worker.id, name: worker.name, place: orchestrator.runtime.place });
    this.#lives = lives;
  }

  override async claim(labels: readonly string[], limit: number): Promise<ClaimedBuild[]> {
    return (await super.claim(labels, limit)).map(leftToOthers);
  }

  override onCommit(keep: (ending: readonly AttemptKey[]) => Promise<FreePlaces | null>): () => void {
    return super.onCommit(async (ending) => {
      const places = await keep(ending);
      return (
        places && { ...places, release: (end) => places.release({ ...end, claimed: end.claimed.map(leftToOthers) }) }
      );
    });
  }

  /** The first thing that is done for a claimed build. */
  override openLedger(build: ClaimedBuild): Ledger {
    this.#lives.starts.add(build.id);
    const ledger = super.openLedger(build);
    this.#ledgers.set(build.id, ledger);
    return ledger;
  }

  /** Asked while the build has its place yet: it ends in here. */
  override async isElsewhere(buildId: string): Promise<boolean> {
    await this.#ledgers.get(buildId)?.finish({ status: 'COMPLETED', result: { success: true } });
    this.#ledgers.delete(buildId);
    this.#lives.ends.add(buildId);
    return false;
  }
}

/** Whoever runs it finds at its first question that it is somebody else's, and does nothing. */
function leftToOthers(build: ClaimedBuild): ClaimedBuild {
  return Object.defineProperty({ ...build }, 'cancelRequestedAt', {
    get: () => {
      throw new SupersededError();
    },
  });
}

export async function openSlots(orchestrator: Orchestrator, capacity: number): Promise<AsyncDisposable & Lives> {
  const lives: Lives = { starts: new Arrivals(), ends: new Arrivals() };
  const worker = new Worker(
    { ...orchestrator, openCoordinator: (own) => new CoordinatorWithoutAgents(orchestrator, own, lives) },
    { name: 'bench', capacity },
  );
  await worker.open();
  return { ...lives, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}
