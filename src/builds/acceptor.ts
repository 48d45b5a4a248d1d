/** Accepts the builds that come to this process: those that come together are written by one statement. */
import { Coalescer, type Outcome } from '../database/coalescer.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { BUILDS_TOPIC, projectTopic, type Topic } from '../events/topics.ts';
import { areFailpointsArmed, failpoint } from '../std/failpoint.ts';
import { type DayBudget, readDayBudgets, refuseUsedUp } from './budget.ts';
import { findBuild } from './build.ts';
import { type ClaimDeps, claimTerms, tellClaim } from './claim-builds.ts';
import { type DiskConfig, DiskWatch } from './full-disk.ts';
import { type Acceptance, type BuildRow, writeAndClaim, writeBuilds } from './new-build.ts';
import { type KeptPlaces, NOTHING, type PlaceOffers } from './place-offers.ts';

/** Statements at the same time. Builds of one project are all in one of them: there, each waits for the one before it. */
const LANES = 2;
/** One wait for a lock has reached its limit: nothing was written. */
const LOCK_TIMEOUT = '55P03';
const UNIQUE_VIOLATION = '23505';

export interface AcceptorOptions extends ClaimDeps {
  readonly config: DiskConfig;
  /** Whatever a claim would give their workers is claimed with the commit: a lone build is at its worker with that. */
  readonly places: Pick<PlaceOffers, 'keep'>;
}

type Lane = Coalescer<BuildRow, Acceptance>;

interface Flushed {
  readonly acceptances: readonly Acceptance[];
  readonly taken: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

interface Route {
  readonly lane: Lane;
  /** Rows that are in it. */
  count: number;
}

export class Acceptor implements AsyncDisposable {
  readonly #options: AcceptorOptions;
  readonly #lanes: readonly Lane[];
  /** Of the projects that have rows in a lane. */
  readonly #routes = new Map<string, Route>();
  /** Of projects whose row somebody else holds: these wait for him, and nobody waits for them. */
  readonly #detours = new Map<string, Route>();
  readonly #budgets: Coalescer<string, DayBudget>;
  readonly #disk: DiskWatch;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#lanes = Array.from({ length: LANES }, () => this.#openLane({ waits: false }));
    const flush = async (ids: readonly string[]) => {
      const budgets = await readDayBudgets(options.db, [...new Set(ids)]);
      return ids.map((id) => ({ ok: true, value: budgets(id) }) as const);
    };
    this.#budgets = new Coalescer({ name: 'budgets', flush });
    this.#disk = new DiskWatch(options.config);
  }

  /**
   * Durable, in the queue and announced when this resolves with ACCEPTED; nothing is written otherwise. Takes no builds that
   * supersede others or are skipped: see `acceptBuild`. Throws OverloadedError.
   */
  async accept(row: BuildRow): Promise<Exclude<Acceptance, { outcome: 'BUSY' }>> {
    const { projectId } = row.build;
    const detour = this.#detours.get(projectId);
    const accepted = detour ? null : await this.#pass(this.#routes, row, () => this.#idlest());
    if (accepted && accepted.outcome !== 'BUSY') return accepted;
    const waited = await this.#pass(this.#detours, row, () => this.#openLane({ waits: true }));
    if (waited.outcome === 'BUSY') throw new Error('a build that waits for its project is never BUSY');
    return waited;
  }

  /** Throws DiskFullError when there is no room for what a build brings. */
  refuseOnFullDisk(): Promise<void> {
    return this.#disk.refuseOnFull();
  }

  /** Throws BudgetExceededError when the project has nothing left for today. */
  async refuseOverBudget(projectId: string): Promise<void> {
    refuseUsedUp(await this.#budgets.add(projectId));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const detours = [...this.#detours.values()].map(({ lane }) => lane);
    await Promise.all([...this.#lanes, ...detours, this.#budgets].map((lane) => lane[Symbol.asyncDispose]()));
  }

  async #pass(routes: Map<string, Route>, row: BuildRow, choose: () => Lane): Promise<Acceptance> {
    const { projectId } = row.build;
    const route = routes.get(projectId) ?? { lane: choose(), count: 0 };
    routes.set(projectId, route);
    route.count += 1;
    try {
      return await route.lane.add(row);
    } finally {
      route.count -= 1;
      if (route.count === 0) routes.delete(projectId);
    }
  }

  #idlest(): Lane {
    const [first, ...others] = this.#lanes as [Lane, ...Lane[]];
    return others.reduce((least, lane) => (lane.load < least.load ? lane : least), first);
  }

  #openLane({ waits }: { readonly waits: boolean }): Lane {
    return new Coalescer<BuildRow, Acceptance>({
      name: 'builds',
      lanes: 1,
      sizeOf: ({ document }) => document.length,
      flush: (rows) => this.#flush(rows, waits),
    });
  }

  async #flush(rows: readonly BuildRow[], waits: boolean): Promise<Outcome<Acceptance>[]> {
    const { db } = this.#options;
    let found: readonly Acceptance[];
    let taken: ReadonlySet<string> = NONE;
    try {
      ({ acceptances: found, taken } = await this.#writeAndStart(rows, waits));
    } catch (error) {
      if ((error as { code?: unknown }).code === LOCK_TIMEOUT) return rows.map(() => ({ ok: false, error }));
      const [row] = rows;
      // Was it written before, by a statement whose answer was lost? One with a key finds itself, see below.
      if (!row || rows.length > 1 || (error as { code?: unknown }).code !== UNIQUE_VIOLATION) throw error;
      if (!(await findBuild(db, row.id))) throw error;
      found = [{ outcome: 'KEY_TAKEN', holder: row.id }];
    }
    const topics = new Set<Topic>();
    const outcomes: Outcome<Acceptance>[] = [];
    for (const [index, acceptance] of found.entries()) {
      const row = rows[index] as BuildRow;
      const isOurs = acceptance.outcome === 'KEY_TAKEN' && acceptance.holder === row.id;
      const build = isOurs ? await findBuild(db, row.id) : null;
      const value: Acceptance = build ? { outcome: 'ACCEPTED', build } : acceptance;
      outcomes.push({ ok: true, value });
      if (value.outcome !== 'ACCEPTED') continue;
      // Its claim is announced.
      if (!taken.has(row.id)) topics.add(BUILDS_TOPIC).add(projectTopic(row.build.projectId));
      await failpoint('accept.committed');
    }
    if (topics.size > 0) this.#options.hub.announce(...topics);
    return outcomes;
  }

  /** `taken`: the builds that a worker of this process has with that. */
  async #writeAndStart(rows: readonly BuildRow[], waits: boolean): Promise<Flushed> {
    // Who waits for somebody keeps nobody else waiting.
    const places = waits ? null : await this.#options.places.keep([]);
    let filled = NOTHING;
    try {
      const { acceptances, given } = await this.#write(rows, { waits, places });
      const claimed = places ? await tellClaim(this.#options, places.claimer, given) : [];
      // Others may have been in the way: that fewer came than there is room for does not say that nothing waits.
      filled = { claimed, ended: [], more: claimed.length === places?.count || null };
      return { acceptances, taken: claimed.length > 0 ? new Set(claimed.map(({ id }) => id)) : NONE };
    } finally {
      places?.release(filled);
    }
  }

  /** One statement is a transaction by itself, unless a test is to stop it before its commit. */
  #write(
    rows: readonly BuildRow[],
    { waits, places }: { readonly waits: boolean; readonly places: KeptPlaces | null },
  ): ReturnType<typeof writeAndClaim> {
    const { db } = this.#options;
    const write = async (on: Database | DatabaseTransaction) =>
      places
        ? writeAndClaim(on, rows, { waits, claim: claimTerms(places.claimer, places.count) })
        : { acceptances: await writeBuilds(on, rows, { waits }), given: [] };
    if (!areFailpointsArmed()) return write(db);
    return inTransaction(db, async (trx) => {
      const written = await write(trx);
      if (written.acceptances.some(({ outcome }) => outcome === 'ACCEPTED')) await failpoint('accept.written');
      return written;
    });
  }
}
