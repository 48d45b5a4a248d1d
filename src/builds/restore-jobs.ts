/** Builds that wait and have no job any more (somebody tidied up in pg-boss' tables, a backup was restored in part). */
import { inTransaction } from '../database/transaction.ts';
import { QUEUE_TOPIC } from '../events/topics.ts';
import type { LedgerDeps } from './postgres-ledger.ts';

/** Builds of one pass; more are found by the next. */
const BATCH = 100;

/** Gives them a job again. Safe to run in every worker at the same time. Returns how many builds it put back. */
export async function restoreJobs(deps: LedgerDeps): Promise<number> {
  let count = 0;
  for (const id of await deps.queue.findUnqueued(deps.db, BATCH)) {
    if (await restoreJob(deps, id)) count += 1;
  }
  if (count > 0) deps.hub.announce(QUEUE_TOPIC);
  return count;
}

async function restoreJob({ db, queue }: LedgerDeps, id: string): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    await queue.lock(trx, id);
    const build = await trx
      .selectFrom('build_audit')
      .select(['priority', 'run_after', 'resume_at'])
      .where('id', '=', id)
      .where('status', '=', 'PENDING')
      .forUpdate()
      .skipLocked()
      .executeTakeFirst();
    // Where there was no job to lock, somebody else may have made one meanwhile.
    if (!build || (await queue.isQueued(trx, id))) return false;
    await queue.putBack(trx, { id, priority: build.priority, runAfter: build.resume_at ?? build.run_after });
    return true;
  });
}
