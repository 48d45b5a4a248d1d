/** The product's worker whose builds end as soon as they have begun: everything around an agent, without one. */
import type { ClaimedBuild } from '../src/builds/build.ts';
import type { AttemptKey } from '../src/builds/claim-builds.ts';
import type { Ledger } from '../src/builds/ledger.ts';
import { SupersededError } from '../src/errors.ts';
import type { Orchestrator } from '../src/orchestrator.ts';
import type { FreePlaces } from '../src/workers/coordinator.ts';
import { PostgresCoordinator } from '../src/workers/postgres-coordinator.ts';
import { Worker } from '../src/workers/worker.ts';

/** Started builds and when, by the clock that all processes of a machine share. */
export class Starts {
  readonly #at = new Map<string, bigint>();
  readonly #waiting = new Map<string, (at: bigint) => void>();
  #count = 0;

  /** How often anything has started. */
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

  /** Nanoseconds, as `process.hrtime.bigint()` gives them. */
  of(id: string): Promise<bigint> | bigint {
    return this.#at.get(id) ?? new Promise((done) => this.#waiting.set(id, done));
  }
}

class CoordinatorWithoutAgents extends PostgresCoordinator {
  readonly #starts: Starts;
  readonly #ledgers = new Map<string, Ledger>();

  constructor(orchestrator: Orchestrator, worker: Worker, starts: Starts) {
    super(orchestrator, { id: worker.id, name: worker.name, place: orchestrator.runtime.place });
    this.#starts = starts;
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
    this.#starts.add(build.id);
    const ledger = super.openLedger(build);
    this.#ledgers.set(build.id, ledger);
    return ledger;
  }

  /** Asked while the build has its place yet: it ends in here. */
  override async isElsewhere(buildId: string): Promise<boolean> {
    await this.#ledgers.get(buildId)?.finish({ status: 'COMPLETED', result: { success: true } });
    this.#ledgers.delete(buildId);
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

export async function openSlots(
  orchestrator: Orchestrator,
  capacity: number,
): Promise<AsyncDisposable & { readonly starts: Starts }> {
  const starts = new Starts();
  const worker = new Worker(
    { ...orchestrator, openCoordinator: (own) => new CoordinatorWithoutAgents(orchestrator, own, starts) },
    { name: 'bench', capacity },
  );
  await worker.open();
  return { starts, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}
