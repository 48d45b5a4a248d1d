/** Keys that are at their rate limit: builds that would begin with one of them wait together. */
import { sql } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { Topic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import type { PausedSession } from './checkpoint.ts';
import { requeueBuild } from './requeue-build.ts';

/** With which key an agent asks its provider; never the key itself. */
export interface KeyIdentity {
  readonly provider: string;
  /** The id of the credential; `worker` for the key that workers have themselves. */
  readonly credential: string;
  /** In which the agent takes its key; null for one that takes none. */
  readonly variable: string | null;
}

/** Nobody begins with this key for so long; returns until when, which an earlier pause may have put later. */
async function pauseKey(trx: DatabaseTransaction, key: KeyIdentity, seconds: number): Promise<Date> {
  const { rows } = await sql<{ until: Date }>`
    insert into quota_pauses as pause (provider, credential, variable, until)
    values (${key.provider}, ${key.credential}, ${key.variable}, clock_timestamp() + make_interval(secs => ${seconds}))
    on conflict (provider, credential) do update
      set variable = excluded.variable, until = greatest(pause.until, excluded.until)
    returning until`.execute(trx);
  if (!rows[0]) throw new Error('an upsert returns its row');
  return rows[0].until;
}

export interface QuotaWait {
  readonly key: KeyIdentity;
  readonly seconds: number;
  /** What the provider said. */
  readonly message: string;
  readonly paused: PausedSession | null;
}

/**
 * Puts the build back until its key may be used again; null when somebody asked to cancel it. The caller holds its row;
 * returns what to announce.
 */
export async function writeQuotaWait(
  trx: DatabaseTransaction,
  queue: Queue,
  { buildId, key, seconds, message, paused }: QuotaWait & { readonly buildId: string },
): Promise<Topic[] | null> {
  const checkpoint = JSON.stringify({ agentOutcome: null, pausedSession: paused });
  const changed = await trx
    .updateTable('build_audit')
    .set({ checkpoint: sql<string>`checkpoint || ${checkpoint}::jsonb` })
    .where('id', '=', buildId)
    .where('cancel_requested_at', 'is', null)
    .executeTakeFirst();
  if (changed.numUpdatedRows === 0n) return null;
  const resumeAt = await pauseKey(trx, key, seconds);
  const topics = await requeueBuild(trx, queue, { buildId, outcome: 'RELEASED', reason: 'QUOTA', message, resumeAt });
  await failpoint('quota.written');
  return topics;
}

/** Pauses that are over for a day are of no use to anybody. */
export async function forgetEndedPauses(db: Database): Promise<void> {
  await db.deleteFrom('quota_pauses').where('until', '<', sql<Date>`now() - interval '1 day'`).execute();
}
