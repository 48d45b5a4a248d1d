/** Builds whose worker died: they go on elsewhere, or end with a reason. */
import { sql } from 'kysely';
import { inTransaction } from '../database/transaction.ts';
import type { Topic } from '../events/topics.ts';
import { toBuild } from './build.ts';
import { failure } from './build-result.ts';
import { writeFinish } from './finish-build.ts';
import { MAX_LOST_ATTEMPTS } from './lease.ts';
import type { LedgerDeps } from './ledger.ts';
import { requeueBuild } from './requeue-build.ts';

/** Builds of one pass; more are found by the next. */
const BATCH = 50;

/** Which builds: those whose lease has run out, or those of workers that are known to be dead. */
export type Lost = 'expired' | { readonly workers: readonly string[] };

/** Safe to run in every worker at the same time. Returns how many builds it moved. */
export async function rescueBuilds(deps: LedgerDeps, which: Lost): Promise<number> {
  const topics: Topic[] = [];
  const count = await inTransaction(deps.db, async (trx) => {
    topics.length = 0;
    const lost = await trx
      .selectFrom('build_audit')
      .selectAll()
      .where('status', '=', 'RUNNING')
      .where((where) =>
        which === 'expired' ? where('lease_until', '<', sql<Date>`now()`) : where('worker_id', 'in', which.workers),
      )
      .orderBy('project_id')
      .limit(BATCH)
      .forUpdate()
      .skipLocked()
      .execute();
    for (const row of lost) {
      const build = toBuild(row);
      const losses = row.lost_attempts + 1;
      // Once a push was intended, somebody must look whether it arrived: that needs a worker, not a verdict.
      if (losses >= MAX_LOST_ATTEMPTS && row.push_intent_sha === null) {
        const message = `The worker died ${losses} times during this build.`;
        topics.push(
          ...(await writeFinish(trx, {
            build,
            attemptNo: null,
            conclusion: { status: 'FAILED', result: {}, failure: failure('WORKER_LOST', build.phase, message) },
            queue: deps.queue,
          })),
        );
        continue;
      }
      const message = 'The worker stopped answering; the build goes on with another one.';
      const requeue = { buildId: row.id, outcome: 'LOST', reason: 'WORKER_LOST', message } as const;
      topics.push(...(await requeueBuild(trx, deps.queue, requeue)));
    }
    return lost.length;
  });
  deps.hub.announce(...topics);
  return count;
}
