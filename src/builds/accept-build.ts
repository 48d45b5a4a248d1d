/** The one place where a build comes into being: row, first event, place in the queue and audit entry in the caller's transaction. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { audit } from '../database/audit.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { ProjectNotReadyError } from '../errors.ts';
import { appendEvents } from '../events/append-events.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import { type Build, findBuildByIdempotencyKey, toBuild } from './build.ts';
import type { BuildSpec } from './build-spec.ts';
import { newBuildTrace } from './build-trace.ts';
import type { InputHash } from './input-hash.ts';

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
}

/** The project already has a build with this idempotency key: the transaction must be rolled back. */
export class KeyTaken extends Error {
  override readonly name = 'KeyTaken';
}

/** Throws KeyTaken or ProjectNotReadyError. */
export async function acceptBuild(trx: DatabaseTransaction, queue: Queue, build: NewBuild): Promise<Build> {
  const project = await trx
    .updateTable('projects')
    .set({ build_count: sql<number>`build_count + 1` })
    .where('id', '=', build.projectId)
    .where('status', '=', 'ACTIVE')
    .returning('build_count')
    .executeTakeFirst();
  if (!project) throw new ProjectNotReadyError('The project is not active, so it takes no builds.');
  // Asked under the project's lock, which every insert of a build holds. ON CONFLICT would wait for whoever changes the
  // build that has the key, and that may be a claim which waits for this lock.
  const { projectId, idempotencyKey } = build;
  if (idempotencyKey !== null && (await findBuildByIdempotencyKey(trx, { projectId, idempotencyKey })))
    throw new KeyTaken();
  const id = v7();
  const inserted = await trx
    .insertInto('build_audit')
    .values({
      id,
      project_id: build.projectId,
      number: project.build_count,
      source: build.source,
      spec: JSON.stringify(build.spec),
      priority: build.spec.priority,
      run_after: build.spec.runAfter ? new Date(build.spec.runAfter) : null,
      idempotency_key: build.idempotencyKey,
      input_hash: build.inputHash?.text ?? null,
      retry_of: build.retryOf,
      requested_by: build.actor,
      traceparent: newBuildTrace(),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const lastSeq = await appendEvents(trx, { buildId: id, attemptNo: null }, [
    { type: 'QUEUED', data: { runAfter: build.spec.runAfter, retryOf: build.retryOf } },
  ]);
  await queue.addBuild(trx, id);
  await audit(trx, {
    actor: build.actor,
    action: build.action,
    subjectType: 'build',
    subjectId: id,
    projectId: build.projectId,
  });
  await failpoint('accept.written');
  return { ...toBuild(inserted), lastSeq: lastSeq ?? 0 };
}
