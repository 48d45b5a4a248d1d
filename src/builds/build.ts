/** The noun: a build as everybody reads it. */
import { type Selectable, sql } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { executePrepared } from '../database/execute-prepared.ts';
import type { BuildAuditTable } from '../database/tables.ts';
import type { Usage } from '../events/event.ts';
import type { BuildPhase, BuildStatus } from '../events/vocabulary.ts';
import type { BuildFailure, BuildResult } from './build-result.ts';
import type { BuildSpec } from './build-spec.ts';
import type { Checkpoint } from './checkpoint.ts';

/** A build without its documents, which may be megabytes long: what lists hold. See read-documents.ts for the rest. */
export interface BuildSummary {
  /** UUIDv7. */
  readonly id: string;
  readonly projectId: string;
  /** 1, 2, 3 … per project. */
  readonly number: number;
  readonly status: BuildStatus;
  readonly phase: BuildPhase;
  readonly waitingFor: 'INPUT' | 'APPROVAL' | 'QUOTA' | null;
  /** When a build that waits for QUOTA goes on; null for every other one. */
  readonly resumeAt: Date | null;
  readonly source: BuildAuditTable['source'];
  readonly provider: string;
  /** `name@version`. */
  readonly template: string | null;
  readonly branch: string;
  readonly priority: number;
  readonly attemptNo: number;
  readonly workerId: string | null;
  readonly lastSeq: number;
  readonly lastLine: number;
  readonly cancelRequestedAt: Date | null;
  readonly cancelReason: string | null;
  readonly baseSha: string | null;
  readonly pushIntentSha: string | null;
  readonly failure: BuildFailure | null;
  readonly usage: Usage | null;
  readonly idempotencyKey: string | null;
  readonly inputHash: string | null;
  readonly retryOf: string | null;
  /** The build that took its place. */
  readonly supersededBy: string | null;
  /** What started it, if it was the clock; the schedule may be deleted. */
  readonly scheduleId: string | null;
  readonly scheduledFor: Date | null;
  readonly requestedBy: string;
  /** See `build-trace.ts`; null in builds that are older than traces are. */
  readonly traceparent: string | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

/** A build with all of it. */
export interface Build extends BuildSummary {
  readonly spec: BuildSpec;
  readonly result: BuildResult | null;
}

export function isFinished(status: BuildStatus): boolean {
  return status !== 'PENDING' && status !== 'RUNNING';
}

/** Milliseconds from the first claim to the end, or to `now` while it runs; null before the claim. */
export function durationMs(build: Pick<BuildSummary, 'startedAt' | 'finishedAt'>, now = new Date()): number | null {
  return build.startedAt ? (build.finishedAt ?? now).getTime() - build.startedAt.getTime() : null;
}

/** Milliseconds from acceptance to the first claim (or to the end, or to `now`). */
export function queuedMs(
  build: Pick<BuildSummary, 'createdAt' | 'startedAt' | 'finishedAt'>,
  now = new Date(),
): number {
  return (build.startedAt ?? build.finishedAt ?? now).getTime() - build.createdAt.getTime();
}

/** The columns of a summary. */
export const SUMMARY_COLUMNS = [
  'id',
  'project_id',
  'number',
  'status',
  'phase',
  'waiting_for',
  'resume_at',
  'source',
  'provider',
  'template',
  'branch',
  'priority',
  'attempt_no',
  'worker_id',
  'last_seq',
  'last_line',
  'cancel_requested_at',
  'cancel_reason',
  'base_sha',
  'push_intent_sha',
  'failure',
  'usage',
  'idempotency_key',
  'input_hash',
  'retry_of',
  'superseded_by',
  'schedule_id',
  'scheduled_for',
  'requested_by',
  'traceparent',
  'created_at',
  'started_at',
  'finished_at',
] as const satisfies readonly (keyof BuildAuditTable)[];

export type SummaryRow = Pick<Selectable<BuildAuditTable>, (typeof SUMMARY_COLUMNS)[number]>;

export function toBuildSummary(row: SummaryRow): BuildSummary {
  return {
    id: row.id,
    projectId: row.project_id,
    number: row.number,
    status: row.status,
    phase: row.phase,
    waitingFor: row.waiting_for,
    resumeAt: row.resume_at,
    source: row.source,
    provider: row.provider,
    template: row.template,
    branch: row.branch,
    priority: row.priority,
    attemptNo: row.attempt_no,
    workerId: row.worker_id,
    lastSeq: row.last_seq,
    lastLine: row.last_line,
    cancelRequestedAt: row.cancel_requested_at,
    cancelReason: row.cancel_reason,
    baseSha: row.base_sha,
    pushIntentSha: row.push_intent_sha,
    failure: row.failure as BuildFailure | null,
    usage: row.usage as Usage | null,
    idempotencyKey: row.idempotency_key,
    inputHash: row.input_hash,
    retryOf: row.retry_of,
    supersededBy: row.superseded_by,
    scheduleId: row.schedule_id,
    scheduledFor: row.scheduled_for,
    requestedBy: row.requested_by,
    traceparent: row.traceparent,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

export function toBuild(row: Selectable<BuildAuditTable>): Build {
  return { ...toBuildSummary(row), spec: row.spec as BuildSpec, result: row.result as BuildResult | null };
}

/** A build as the worker that claimed it needs it. */
export interface ClaimedBuild extends Build {
  readonly attemptNo: number;
  readonly workerId: string;
  readonly checkpoint: Checkpoint;
  /** How often a rate limit put it back. */
  readonly quotaWaits: number;
  /** Counts what people have told it. */
  readonly talkNo: number;
}

export function toClaimedBuild(row: Selectable<BuildAuditTable>, workerId: string): ClaimedBuild {
  const { checkpoint, quota_waits: quotaWaits, talk_no: talkNo } = row;
  return { ...toBuild(row), workerId, checkpoint: checkpoint as Checkpoint, quotaWaits, talkNo };
}

export async function findBuild(db: Database | DatabaseTransaction, id: string): Promise<Build | null> {
  const row = await db.selectFrom('build_audit').selectAll().where('id', '=', id).executeTakeFirst();
  return row ? toBuild(row) : null;
}

export async function findBuildSummaries(db: Database, ids: readonly string[]): Promise<BuildSummary[]> {
  if (ids.length === 0) return [];
  const query = db.selectFrom('build_audit').select(SUMMARY_COLUMNS).where(sql<boolean>`id = any(${ids}::uuid[])`);
  return (await executePrepared(db, query)).map(toBuildSummary);
}

export async function findBuildByIdempotencyKey(
  db: Database | DatabaseTransaction,
  key: { readonly projectId: string; readonly idempotencyKey: string },
): Promise<Build | null> {
  const row = await db
    .selectFrom('build_audit')
    .selectAll()
    .where('project_id', '=', key.projectId)
    .where('idempotency_key', '=', key.idempotencyKey)
    .executeTakeFirst();
  return row ? toBuild(row) : null;
}
