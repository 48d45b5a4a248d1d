/** Builds that wait and that the queue does not know any more (a backup was restored in part). */
import { inTransaction } from '../database/transaction.ts';
import { QUEUE_TOPIC } from '../events/topics.ts';
import type { LedgerDeps } from './postgres-ledger.ts';

/** Builds of one pass; more are found by the next. */
const BATCH = 100;

/** Queues them again. Safe to run in every worker at the same time. Returns how many builds it queued. */
export async function restoreQueued({ db, queue, hub }: LedgerDeps): Promise<number> {
  let count = 0;
  for (const id of await queue.findUnqueued(db, BATCH)) {
    if (await inTransaction(db, (trx) => queue.addBuild(trx, id))) count += 1;
  }
  if (count > 0) hub.announce(QUEUE_TOPIC);
  return count;
}
