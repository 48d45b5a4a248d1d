/** Accepts the builds that come to this process: those that come together are written by one statement. */
import { Coalescer, type Outcome } from '../database/coalescer.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { BUILDS_TOPIC, projectTopic, type Topic } from '../events/topics.ts';
import { areFailpointsArmed, failpoint } from '../std/failpoint.ts';
import { type DayBudget, readDayBudgets, refuseUsedUp } from './budget.ts';
import { type ClaimedBuild, findBuild } from './build.ts';
import { type ClaimDeps, type ClaimedRow, claimTerms, tellClaim, tellStart } from './claim-builds.ts';
import { type DiskConfig, DiskWatch } from './full-disk.ts';
import { type Acceptance, type BuildRow, writeAndClaim, writeBuild, writeBuilds } from './new-build.ts';
import { type KeptPlaces, NOTHING, type PlaceOffers } from './place-offers.ts';

/** Statements at the same time. Builds of one project are all in one of them: there, each waits for the one before it. */
const LANES = 2;
/**
 * A statement costs as much as twenty builds, so those of many callers go together, behind the statement before. Only what would
 * wait for a lone build goes beside it, and what is enough for a statement of its own.
 */
const MANY = 96;
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

interface WriteOptions {
  readonly waits: boolean;
  readonly places: KeptPlaces | null;
}

interface WrittenRows {
  readonly acceptances: readonly Acceptance[];
  /** Null: nobody has looked for what waits. */
  readonly given: readonly ClaimedRow[] | null;
  /** One alone, that has begun with that. */
  readonly started: ClaimedBuild | null;
}

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
  /** The last claim has left something that waits, as far as is known: one alone does not begin at once. */
  #isCrowded = false;

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
    const accepted = detour ? null : await this.#pass(this.#routes, row, () => this.#choose());
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

  #choose(): Lane {
    const [first, ...others] = this.#lanes as [Lane, ...Lane[]];
    const gathering = this.#lanes.find((lane) => lane.waiting > 0 && lane.load < MANY);
    if (gathering) return gathering;
    if (first.load > 1 && first.load < MANY) return first;
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
      if (areFailpointsArmed()) await failpoint('accept.committed');
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
      const written = await this.#write(rows, { waits, places });
      const claimed = await this.#tell(written, places);
      // Others may have been in the way: that fewer came than there is room for does not say that nothing waits.
      filled = { claimed, ended: [], more: claimed.length === places?.count || null };
      return {
        acceptances: written.acceptances,
        taken: claimed.length > 0 ? new Set(claimed.map(({ id }) => id)) : NONE,
      };
    } finally {
      places?.release(filled);
    }
  }

  async #tell({ given, started }: WrittenRows, places: KeptPlaces | null): Promise<readonly ClaimedBuild[]> {
    if (started) {
      await tellStart(this.#options, started);
      return [started];
    }
    return places && given ? tellClaim(this.#options, places.claimer, given) : [];
  }

  /** One statement is a transaction by itself, unless a test is to stop it before its commit. */
  #write(rows: readonly BuildRow[], options: WriteOptions): Promise<WrittenRows> {
    const { db } = this.#options;
    if (!areFailpointsArmed()) return this.#writeOn(db, rows, options);
    return inTransaction(db, async (trx) => {
      const written = await this.#writeOn(trx, rows, options);
      if (written.acceptances.some(({ outcome }) => outcome === 'ACCEPTED')) await failpoint('accept.written');
      return written;
    });
  }

  async #writeOn(
    on: Database | DatabaseTransaction,
    rows: readonly BuildRow[],
    { waits, places }: WriteOptions,
  ): Promise<WrittenRows> {
    const [row, another] = rows;
    if (row && !another && !(places && this.#isCrowded)) {
      const written = await writeBuild(on, row, { waits, claimer: places?.claimer ?? null });
      if (written !== 'WAITS') return { acceptances: [written.acceptance], given: null, started: written.started };
    }
    if (!places) return { acceptances: await writeBuilds(on, rows, { waits }), given: null, started: null };
    const claim = claimTerms(places.claimer, places.count);
    const { acceptances, given } = await writeAndClaim(on, rows, { waits, claim });
    const ids = new Set(given.map(({ id }) => id));
    this.#isCrowded = rows.some(({ id }) => !ids.has(id));
    return { acceptances, given, started: null };
  }
}
