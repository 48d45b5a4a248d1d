/** The end of a build is asked for, in the transaction of the caller, who holds the build's row. */
import { sql } from 'kysely';
import { audit } from '../database/audit.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { InvalidInputError } from '../errors.ts';
import { appendEvents } from '../events/append-events.ts';
import { eventsTopic, projectTopic, type Topic, workerTopic } from '../events/topics.ts';
import { type Build, isFinished } from './build.ts';
import { writeFinish } from './finish-build.ts';

export interface CancelRequest {
  readonly build: Build;
  readonly reason: string | null;
  readonly actor: string;
  /** For the audit log. */
  readonly action: string;
  /** The build that takes its place, or is in its way. */
  readonly supersededBy?: string | null;
}

/** What the caller does after the commit: announce the topics, and `reportEnd` of those that have ended. */
export interface Cancelled {
  readonly topics: readonly Topic[];
  /** Ids of builds. */
  readonly ended: readonly string[];
}

export const NOTHING_CANCELLED: Cancelled = { topics: [], ended: [] };

/** Why it is too late; null when it is not. */
export function tooLateToCancel({ status, pushIntentSha }: Build): string | null {
  if (isFinished(status)) return `The build is already ${status}.`;
  return pushIntentSha ? 'The build is already publishing its commit: it is too late to cancel.' : null;
}

/** It was never claimed, or waits with its processes ended. */
function endsHere({ status, attemptNo, waitingFor }: Build): boolean {
  return status === 'PENDING' && (attemptNo === 0 || waitingFor === 'QUOTA');
}

/** Throws InvalidInputError. */
export function checkReason(reason: string | null | undefined): string | null {
  if (reason === null || reason === undefined) return null;
  if (reason.length <= 1_000 && !reason.includes('\0') && reason.isWellFormed()) return reason;
  throw new InvalidInputError([
    { path: ['input', 'reason'], message: 'must be plain text of at most 1000 characters' },
  ]);
}

/** A waiting build ends here, a running one when its processes are dead. Of a build for which it is not too late. */
export async function requestCancel(
  trx: DatabaseTransaction,
  { build, reason, actor, action, supersededBy = null }: CancelRequest,
): Promise<Cancelled> {
  if (build.cancelRequestedAt) return NOTHING_CANCELLED;
  await trx
    .updateTable('build_audit')
    .set({ cancel_requested_at: sql<Date>`now()`, cancel_reason: reason, superseded_by: supersededBy })
    .where('id', '=', build.id)
    .execute();
  await appendEvents(trx, { buildId: build.id, attemptNo: null }, [
    { type: 'CANCEL_REQUESTED', data: { reason, requestedBy: actor } },
  ]);
  await audit(trx, {
    actor,
    action,
    subjectType: 'build',
    subjectId: build.id,
    projectId: build.projectId,
    detail: { reason, ...(supersededBy ? { supersededBy } : {}) },
  });
  if (!endsHere(build)) {
    return { topics: [eventsTopic(build.id), projectTopic(build.projectId), workerTopic(build.id)], ended: [] };
  }
  const conclusion = { status: 'CANCELLED', result: {}, reason } as const;
  return { topics: await writeFinish(trx, { build, conclusion }), ended: [build.id] };
}
