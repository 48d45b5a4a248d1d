/** Ask for the end of many builds: batch by batch, each in a transaction of its own. */
import type { DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { failpoint } from '../std/failpoint.ts';
import { toBuild } from './build.ts';
import type { LedgerDeps } from './postgres-ledger.ts';
import { type ReportDeps, reportEnd } from './report-end.ts';
import { type Cancelled, checkReason, requestCancel, tooLateToCancel } from './request-cancel.ts';
import { type BulkInput, type BulkResult, type SkippedBuild, selectBuilds } from './select-builds.ts';

/** Rows that one transaction holds. */
const BATCH = 50;

export interface CancelBuildsInput extends BulkInput {
  /** Shown with each build; at most 1,000 characters. */
  readonly reason?: string | null | undefined;
}

interface Batch {
  readonly ids: readonly string[];
  readonly reason: string | null;
  readonly actor: string;
  readonly dryRun: boolean;
}

interface BatchResult {
  readonly cancelled: readonly (Cancelled & { readonly id: string })[];
  readonly skipped: readonly SkippedBuild[];
}

/** Builds that come while it works are not meant. Throws InvalidInputError. */
export async function cancelBuilds(
  deps: LedgerDeps & ReportDeps,
  input: CancelBuildsInput,
  actor: string,
): Promise<BulkResult> {
  const reason = checkReason(input.reason);
  const dryRun = input.dryRun ?? false;
  const { ids, hasMore } = await selectBuilds(deps.db, 'cancel', input);
  const changed: string[] = [];
  const skipped: SkippedBuild[] = [];
  for (let from = 0; from < ids.length; from += BATCH) {
    const batch: Batch = { ids: ids.slice(from, from + BATCH), reason, actor, dryRun };
    const done = await inTransaction(deps.db, (trx) => cancelBatch(trx, batch));
    await failpoint('cancel.committed');
    deps.hub.announce(...done.cancelled.flatMap(({ topics }) => topics));
    for (const id of done.cancelled.flatMap(({ ended }) => ended)) await reportEnd(deps, id);
    changed.push(...done.cancelled.map(({ id }) => id));
    skipped.push(...done.skipped);
  }
  return { dryRun, changed, skipped, hasMore };
}

async function cancelBatch(trx: DatabaseTransaction, { ids, reason, actor, dryRun }: Batch): Promise<BatchResult> {
  const query = trx.selectFrom('build_audit').selectAll().where('id', 'in', ids).orderBy('id');
  const builds = (await (dryRun ? query : query.forUpdate()).execute()).map(toBuild);
  // All builds are locked; their projects follow in one order, so that two calls never wait for each other's.
  builds.sort((a, b) => (a.projectId < b.projectId ? -1 : 1));
  const cancelled = [];
  const skipped = [];
  for (const build of builds) {
    const { id } = build;
    const message = tooLateToCancel(build);
    if (message !== null) skipped.push({ id, code: 'BUILD_STATE', message });
    // Somebody was faster.
    else if (build.cancelRequestedAt) continue;
    else if (dryRun) cancelled.push({ id, topics: [], ended: [] });
    else cancelled.push({ id, ...(await requestCancel(trx, { build, reason, actor, action: 'cancelBuilds' })) });
  }
  await failpoint('cancel.written');
  return { cancelled, skipped };
}
