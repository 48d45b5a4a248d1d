/** Rollups of the builds that had finished before there were rollups, and the indexes that reading them needs. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { rebuildStats } from './rebuild-stats.ts';

const INDEXES = [
  {
    name: 'build_audit_stats',
    text: 'create index concurrently build_audit_stats on build_audit (project_id, created_at) where finished_at is not null',
  },
  {
    name: 'build_audit_created',
    text: 'create index concurrently build_audit_created on build_audit using brin (created_at) with (pages_per_range = 128)',
  },
] as const;

export async function areStatsFilled(db: Database): Promise<boolean> {
  const { rows } = await sql<{ filled: boolean }>`select filled from build_stats_state`.execute(db);
  return rows[0]?.filled ?? false;
}

/**
 * Goes on where it was interrupted; until it is done, statistics are counted by rows. `db` has one connection, which reaches
 * Postgres without a pooler. False if another process is at it. Throws when `signal` aborts, between two days.
 */
export async function fillStats(db: Database, signal?: AbortSignal): Promise<boolean> {
  const { rows } = await sql<{ taken: boolean; nextDay: Date | null }>`
    select pg_try_advisory_lock(hashtext('slipway:fill stats')) as taken, next_day::timestamp at time zone 'UTC' as "nextDay"
      from build_stats_state`.execute(db);
  if (!rows[0]?.taken) return false;
  try {
    for (const index of INDEXES) await makeIndex(db, index);
    await rebuildStats(db, {
      apply: true,
      from: rows[0].nextDay ?? undefined,
      onDay: async (next) => {
        const day = next?.toISOString().slice(0, 10) ?? null;
        await sql`update build_stats_state set filled = ${day === null}, next_day = ${day}::date`.execute(db);
        signal?.throwIfAborted();
      },
    });
    return true;
  } finally {
    await sql`select pg_advisory_unlock(hashtext('slipway:fill stats'))`.execute(db).catch(() => {});
  }
}

/** One that an interrupted process has left is of no use. */
async function makeIndex(db: Database, { name, text }: (typeof INDEXES)[number]): Promise<void> {
  const { rows } = await sql<{ valid: boolean }>`
    select indisvalid as valid from pg_index where indexrelid = to_regclass(${name})`.execute(db);
  if (rows[0]?.valid) return;
  if (rows[0]) await sql.raw(`drop index concurrently if exists ${name}`).execute(db);
  await sql.raw(text).execute(db);
}
