/** What every process does for statistics: what has finished is folded into the rollups. */
import { sql } from 'kysely';
import { type Database, openDatabase } from '../database/database.ts';
import { MIGRATION_LIMITS } from '../database/session-settings.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import { areStatsFilled, fillStats } from './fill-stats.ts';

const FOLD_EVERY_MS = 2_000;
const FILL_EVERY_MS = 30_000;
/** Builds of one transaction, and transactions of one round. */
const BATCH = 20_000;
const ROUNDS = 10;
/** From this size on the table of what was folded is vacuumed at once, so that nobody reads what is gone. */
const VACUUM_BYTES = 1024 ** 2;

export interface StatsKeeperDeps {
  readonly db: Database;
  readonly logger: Logger;
  /** Without a pooler. */
  readonly directUrl: string;
}

export class StatsKeeper implements AsyncDisposable {
  readonly #deps: StatsKeeperDeps;
  readonly #closing = new AbortController();
  #loops: readonly Loop[] = [];

  constructor(deps: StatsKeeperDeps) {
    this.#deps = deps;
  }

  open(): void {
    const { db, logger } = this.#deps;
    const onError = (error: unknown) => {
      if (!this.#closing.signal.aborted) logger.warn({ err: error }, 'statistics are behind: will try again');
    };
    const fill = startLoop({ everyMs: FILL_EVERY_MS, work: () => this.#fill(), onError });
    this.#loops = [startLoop({ everyMs: FOLD_EVERY_MS, work: () => foldStats(db), onError }), fill];
    fill.wake();
  }

  async #fill(): Promise<void> {
    const { db, logger, directUrl } = this.#deps;
    if (await areStatsFilled(db)) return;
    const own = openDatabase({ url: directUrl, poolSize: 1, name: 'slipway stats', logger, limits: MIGRATION_LIMITS });
    try {
      if (await fillStats(own, this.#closing.signal)) logger.info('statistics are read from rollups from now on');
    } finally {
      await own.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }
}

/** Safe to call from several processes at once: one of them does it. */
export async function foldStats(db: Database): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const { rows } = await sql<{ more: boolean | null; bytes: number }>`
      select case when exists (select from build_stats_deltas) then build_stats_fold(${BATCH}::integer) end as more,
             pg_relation_size('build_stats_deltas') as bytes`.execute(db);
    if ((rows[0]?.bytes ?? 0) > VACUUM_BYTES) await sql`vacuum build_stats_deltas`.execute(db);
    if (!rows[0]?.more) return;
  }
}
