/** Ask for the end of a build. A waiting build ends at once; a running one when its processes are dead. */
import { inTransaction } from '../database/transaction.ts';
import { BuildStateError, NotFoundError } from '../errors.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Build, findBuild, toBuild } from './build.ts';
import type { LedgerDeps } from './postgres-ledger.ts';
import { type ReportDeps, reportEnd } from './report-end.ts';
import { checkReason, requestCancel, tooLateToCancel } from './request-cancel.ts';

export interface CancelBuildInput {
  readonly id: string;
  /** Shown with the build; at most 1,000 characters. */
  readonly reason?: string | null | undefined;
}

/**
 * Returns the build as it is after the request: CANCELLED, or RUNNING with `cancelRequestedAt`. Asking twice is fine.
 * Throws NotFoundError, or BuildStateError when the build is finished or already publishes its commit.
 */
export async function cancelBuild(
  deps: LedgerDeps & ReportDeps,
  input: CancelBuildInput,
  actor: string,
): Promise<Build> {
  const reason = checkReason(input.reason);
  await failpoint('cancel.begin');
  const { topics, ended } = await inTransaction(deps.db, async (trx) => {
    const row = await trx
      .selectFrom('build_audit')
      .selectAll()
      .where('id', '=', input.id)
      .forUpdate()
      .executeTakeFirst();
    if (!row) throw new NotFoundError('build', toPublicId('build', input.id));
    const build = toBuild(row);
    const tooLate = tooLateToCancel(build);
    if (tooLate !== null) throw new BuildStateError(build.status, tooLate);
    const cancelled = await requestCancel(trx, { build, reason, actor, action: 'cancelBuild' });
    await failpoint('cancel.written');
    return cancelled;
  });
  await failpoint('cancel.committed');
  deps.hub.announce(...topics);
  for (const id of ended) await reportEnd(deps, id);
  const build = await findBuild(deps.db, input.id);
  if (!build) throw new NotFoundError('build', toPublicId('build', input.id));
  return build;
}
