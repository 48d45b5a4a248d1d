/**
 * The one place where a build comes into being: row, first event, place in the queue and audit entry in the caller's
 * transaction, and the end of the builds whose place it takes.
 */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { audit } from '../database/audit.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { ProjectNotReadyError } from '../errors.ts';
import { appendEvents } from '../events/append-events.ts';
import type { Topic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Build, findBuild, findBuildByIdempotencyKey, toBuild } from './build.ts';
import type { BuildSpec } from './build-spec.ts';
import { newBuildTrace } from './build-trace.ts';
import type { InputHash } from './input-hash.ts';
import { type Cancelled, NOTHING_CANCELLED, requestCancel } from './request-cancel.ts';
import { findInTheWay, findSuperseded, lockSuperseded, type Newcomer } from './supersede-builds.ts';

export interface NewBuild {
  readonly projectId: string;
  readonly spec: BuildSpec;
  readonly source: Build['source'];
  readonly retryOf: string | null;
  readonly idempotencyKey: string | null;
  /** Of what the caller sent; null without a key. */
  readonly inputHash: InputHash | null;
  readonly actor: string;
  /** The mutation's name, for the audit log. */
  readonly action: string;
  /** What started it, if it was the clock. */
  readonly scheduled?: ScheduledRun;
}

export interface ScheduledRun {
  readonly scheduleId: string;
  readonly at: Date;
  /** Earlier builds of the schedule end. */
  readonly cancelRunning: boolean;
}

export interface AcceptedBuild {
  readonly build: Build;
  /** To announce after the commit, besides that there is a build. */
  readonly topics: readonly Topic[];
  /** Builds that have ended, the new one among them if another one was in its way: `reportEnd` after the commit. */
  readonly ended: readonly string[];
}

/** The project already has a build with this idempotency key: the transaction must be rolled back. */
export class KeyTaken extends Error {
  override readonly name = 'KeyTaken';
}

/** Throws KeyTaken or ProjectNotReadyError. */
export async function acceptBuild(trx: DatabaseTransaction, queue: Queue, build: NewBuild): Promise<AcceptedBuild> {
  const { projectId, idempotencyKey, spec, scheduled } = build;
  const newcomer: Newcomer = {
    projectId,
    spec,
    replacesSchedule: scheduled?.cancelRunning ? scheduled.scheduleId : null,
  };
  await lockSuperseded(trx, newcomer);
  const project = await trx
    .updateTable('projects')
    .set({ build_count: sql<number>`build_count + 1` })
    .where('id', '=', projectId)
    .where('status', '=', 'ACTIVE')
    .returning('build_count')
    .executeTakeFirst();
  if (!project) throw new ProjectNotReadyError('The project is not active, so it takes no builds.');
  // Asked under the project's lock, which every insert of a build holds. ON CONFLICT would wait for whoever changes the
  // build that has the key, and that may be a claim which waits for this lock.
  if (idempotencyKey !== null && (await findBuildByIdempotencyKey(trx, { projectId, idempotencyKey })))
    throw new KeyTaken();
  const superseded = await findSuperseded(trx, newcomer);
  const inTheWay = await findInTheWay(trx, newcomer);
  const accepted = await insertBuild(trx, build, project.build_count);
  const { id } = accepted;
  await audit(trx, { actor: build.actor, action: build.action, subjectType: 'build', subjectId: id, projectId });
  const request = { actor: build.actor, action: 'supersedeBuild' };
  const ends: Cancelled[] = [];
  for (const earlier of superseded) {
    const reason = `Build #${accepted.number} (${toPublicId('build', id)}) took its place.`;
    ends.push(await requestCancel(trx, { ...request, build: earlier, reason, supersededBy: id }));
  }
  if (inTheWay) {
    const reason = `Build #${inTheWay.number} (${toPublicId('build', inTheWay.id)}) was waiting or running already.`;
    ends.push(await requestCancel(trx, { ...request, build: accepted, reason, supersededBy: inTheWay.id }));
  } else {
    await queue.addBuild(trx, id);
  }
  await failpoint('accept.written');
  const cancelled = ends.reduce(
    (all, { topics, ended }) => ({ topics: [...all.topics, ...topics], ended: [...all.ended, ...ended] }),
    NOTHING_CANCELLED,
  );
  return { build: inTheWay ? ((await findBuild(trx, id)) ?? accepted) : accepted, ...cancelled };
}

/** The row and its first event. */
async function insertBuild(trx: DatabaseTransaction, build: NewBuild, number: number): Promise<Build> {
  const { spec, scheduled } = build;
  const id = v7();
  const inserted = await trx
    .insertInto('build_audit')
    .values({
      id,
      project_id: build.projectId,
      number,
      source: build.source,
      spec: JSON.stringify(spec),
      priority: spec.priority,
      run_after: spec.runAfter ? new Date(spec.runAfter) : null,
      idempotency_key: build.idempotencyKey,
      input_hash: build.inputHash?.text ?? null,
      retry_of: build.retryOf,
      schedule_id: scheduled?.scheduleId ?? null,
      scheduled_for: scheduled?.at ?? null,
      requested_by: build.actor,
      traceparent: newBuildTrace(),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const lastSeq = await appendEvents(trx, { buildId: id, attemptNo: null }, [
    { type: 'QUEUED', data: { runAfter: spec.runAfter, retryOf: build.retryOf } },
  ]);
  return { ...toBuild(inserted), lastSeq: lastSeq ?? 0 };
}
