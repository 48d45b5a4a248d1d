/** Builds whose worker died: they go on elsewhere, or end with a reason. */
import { sql } from 'kysely';
import type { DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import type { Topic } from '../events/topics.ts';
import { failpoint } from '../std/failpoint.ts';
import { type ClaimedBuild, toBuild, toClaimedBuild } from './build.ts';
import { writeFinish } from './finish-build.ts';
import { concludeLost } from './lost-attempt.ts';
import { type Heir, passOnBuild } from './pass-on-build.ts';
import type { LedgerDeps } from './postgres-ledger.ts';
import { type ReportDeps, reportEnd } from './report-end.ts';
import { requeueBuild } from './requeue-build.ts';

/** Builds of one pass; more are found by the next. */
const BATCH = 50;
/** A worker dies once: of its builds no other pass is sure to come before their leases run out. */
const MAX_OF_DEAD = 1_000;

/**
 * Which builds: those whose lease has run out, or those of workers that are known to be dead. `heir`: is given what it may
 * take of theirs, before anybody else is asked.
 */
export type Lost = 'expired' | { readonly workers: readonly string[]; readonly heir?: Heir };

/**
 * Safe to run in every worker at the same time; those that are left when `ends` aborts are theirs. Returns how many builds it
 * moved. A build that cannot be moved does not keep the others from it; the first such error is thrown at the end.
 */
export async function rescueBuilds(
  deps: LedgerDeps & ReportDeps & { readonly ends?: AbortSignal },
  which: Lost,
): Promise<number> {
  const candidates = await deps.db
    .selectFrom('build_audit')
    .select('id')
    .where('status', '=', 'RUNNING')
    .where(isLost(which))
    // Workers that look at the same moment begin with different ones, and one that always fails is not always first.
    .orderBy(sql`random()`)
    .limit(which === 'expired' ? BATCH : MAX_OF_DEAD)
    .execute();
  let count = 0;
  const errors: unknown[] = [];
  for (const { id } of candidates) {
    if (deps.ends?.aborted) break;
    try {
      if (await rescueBuild(deps, id, which)) count += 1;
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return count;
}

/**
 * Builds of these workers go on, with the heir as far as it may claim them; null: with others. Returns all that the heir
 * has then, also when this is done again because the answer was lost.
 */
export async function inheritBuilds(
  deps: LedgerDeps & ReportDeps,
  workers: readonly string[],
  heir: Heir | null,
): Promise<ClaimedBuild[]> {
  await rescueBuilds(deps, heir ? { workers, heir } : { workers });
  if (!heir) return [];
  const { workerId } = heir;
  const own = deps.db.selectFrom('build_audit').selectAll().where('worker_id', '=', workerId);
  return (await own.where('status', '=', 'RUNNING').execute()).map((row) => toClaimedBuild(row, workerId));
}

const LOST = {
  outcome: 'LOST',
  reason: 'WORKER_LOST',
  message: 'The worker stopped answering; the build goes on with another one.',
} as const;
const DRAINED = {
  outcome: 'RELEASED',
  reason: 'DRAIN',
  message: 'The worker was shut down; the build goes on with another one.',
} as const;

const EVICTED = {
  outcome: 'RELEASED',
  reason: 'EVICTED',
  message: 'The worker was evicted; the build goes on with another one.',
} as const;

/** A worker that was told to end did not die of its builds: null when nobody told it. */
async function whyReleased(trx: DatabaseTransaction, workerId: string | null) {
  const query = trx.selectFrom('workers').select(['draining_at', 'evicted_at']).where('id', '=', workerId);
  const worker = await query.executeTakeFirst();
  if (worker?.evicted_at) return EVICTED;
  return worker?.draining_at ? DRAINED : null;
}

function isLost(which: Lost) {
  return which === 'expired'
    ? sql<boolean>`lease_until < now()`
    : sql<boolean>`worker_id = any(${which.workers}::uuid[])`;
}

/** False when it is no longer lost, or somebody else is at it. */
async function rescueBuild(deps: LedgerDeps & ReportDeps, id: string, which: Lost): Promise<boolean> {
  let ended = false;
  const topics = await inTransaction(deps.db, async (trx): Promise<Topic[] | null> => {
    ended = false;
    const row = await trx
      .selectFrom('build_audit')
      .selectAll()
      .where('id', '=', id)
      .where('status', '=', 'RUNNING')
      .where(isLost(which))
      .forUpdate()
      .skipLocked()
      .executeTakeFirst();
    if (!row) return null;
    await failpoint('rescue.begin');
    const released = await whyReleased(trx, row.worker_id);
    const conclusion = released ? null : concludeLost(row, 'The worker died.');
    if (conclusion) {
      ended = true;
      return writeFinish(trx, { build: toBuild(row), conclusion, outcome: 'LOST' });
    }
    const requeue = { buildId: id, ...(released ?? LOST) };
    const heir = which === 'expired' || released === EVICTED ? undefined : which.heir;
    return (
      (heir && (await passOnBuild(trx, deps.queue, { ...requeue, heir }))) ?? requeueBuild(trx, deps.queue, requeue)
    );
  });
  if (topics) await failpoint('rescue.committed');
  if (topics) deps.hub.announce(...topics);
  if (ended) await reportEnd(deps, id);
  return topics !== null;
}
