/** Ask for the end of a build. A waiting build ends at once; a running one when its processes are dead. */
import { sql } from 'kysely';
import { audit } from '../database/audit.ts';
import { inTransaction } from '../database/transaction.ts';
import { BuildStateError, InvalidInputError, NotFoundError } from '../errors.ts';
import { appendEvents } from '../events/append-events.ts';
import { eventsTopic, projectTopic, type Topic, workerTopic } from '../events/topics.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Build, findBuild, isFinished, toBuild } from './build.ts';
import { writeFinish } from './finish-build.ts';
import type { LedgerDeps } from './postgres-ledger.ts';
import { type ReportDeps, reportEnd } from './report-end.ts';

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
  const reason = input.reason ?? null;
  if (reason !== null && (reason.length > 1_000 || reason.includes('\0') || !reason.isWellFormed())) {
    throw new InvalidInputError([
      { path: ['input', 'reason'], message: 'must be plain text of at most 1000 characters' },
    ]);
  }
  const topics: Topic[] = [];
  let ended = false;
  await failpoint('cancel.begin');
  await inTransaction(deps.db, async (trx) => {
    topics.length = 0;
    ended = false;
    const row = await trx
      .selectFrom('build_audit')
      .selectAll()
      .where('id', '=', input.id)
      .forUpdate()
      .executeTakeFirst();
    if (!row) throw new NotFoundError('build', toPublicId('build', input.id));
    const build = toBuild(row);
    if (isFinished(build.status)) throw new BuildStateError(build.status, `The build is already ${build.status}.`);
    if (build.pushIntentSha) {
      throw new BuildStateError(build.status, 'The build is already publishing its commit: it is too late to cancel.');
    }
    if (build.cancelRequestedAt) return;
    await trx
      .updateTable('build_audit')
      .set({ cancel_requested_at: sql<Date>`now()`, cancel_reason: reason })
      .where('id', '=', build.id)
      .execute();
    await appendEvents(trx, { buildId: build.id, attemptNo: null }, [
      { type: 'CANCEL_REQUESTED', data: { reason, requestedBy: actor } },
    ]);
    await audit(trx, {
      actor,
      action: 'cancelBuild',
      subjectType: 'build',
      subjectId: build.id,
      projectId: build.projectId,
      detail: { reason },
    });
    if (endsHere(build)) {
      ended = true;
      const conclusion = { status: 'CANCELLED', result: {}, reason } as const;
      topics.push(...(await writeFinish(trx, { build, attemptNo: null, conclusion, queue: deps.queue })));
    } else {
      topics.push(eventsTopic(build.id), projectTopic(build.projectId), workerTopic(build.id));
    }
    await failpoint('cancel.written');
  });
  await failpoint('cancel.committed');
  deps.hub.announce(...topics);
  if (ended) await reportEnd(deps, input.id);
  const build = await findBuild(deps.db, input.id);
  if (!build) throw new NotFoundError('build', toPublicId('build', input.id));
  return build;
}

/** It was never claimed, or waits with its processes ended. */
function endsHere({ status, attemptNo, waitingFor }: Build): boolean {
  return status === 'PENDING' && (attemptNo === 0 || waitingFor === 'QUOTA');
}
