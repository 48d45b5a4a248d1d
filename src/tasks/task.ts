/** The noun: a task as everybody reads it. A build is a task of type `build`, with the build's id. */
import type { Selectable } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { AllTasksView, TasksTable } from '../database/task-tables.ts';
import { TaskStateError } from '../errors.ts';
import { toPublicId } from '../std/public-id.ts';

const TASK_STATUSES = ['PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

/** The type of tasks that are builds. */
export const BUILD_TYPE = 'build';

export interface TaskFailure {
  /** For people. */
  readonly reason: string;
  /** The worker thought that another attempt may help. */
  readonly retryable: boolean;
}

/** A task without its documents: what lists hold. See `readTaskDocuments` for the rest. */
export interface Task {
  /** UUIDv7; of a build task the build's. */
  readonly id: string;
  readonly projectId: string;
  readonly type: string;
  readonly isBuild: boolean;
  readonly status: TaskStatus;
  readonly labels: Readonly<Record<string, string>>;
  /** Labels that a worker must have. */
  readonly needs: readonly string[];
  readonly priority: number;
  readonly concurrencyKey: string | null;
  readonly callbackUrl: string | null;
  readonly retry: RetryRule;
  readonly leaseSeconds: number;
  /** Since when it can be claimed, or from when on. */
  readonly readyAt: Date;
  readonly attemptNo: number;
  /** Attempts that failed since it was enqueued or requeued. */
  readonly failures: number;
  readonly leaseUntil: Date | null;
  readonly claimedBy: string | null;
  readonly progress: unknown;
  readonly lastSeq: number;
  readonly cancelRequestedAt: Date | null;
  readonly cancelReason: string | null;
  /** Of the last attempt that failed; null once it is completed. */
  readonly failure: TaskFailure | null;
  /** Since when it has failed for good. */
  readonly deadLetteredAt: Date | null;
  readonly idempotencyKey: string | null;
  readonly requestedBy: string;
  readonly createdAt: Date;
  /** The last claim. */
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export interface RetryRule {
  readonly maxAttempts: number;
  readonly backoffSeconds: number;
  readonly maxBackoffSeconds: number;
}

/** A task as the worker that has claimed it needs it. */
export interface ClaimedTask extends Task {
  readonly payload: unknown;
  /** The fence: every later call names it. */
  readonly leaseToken: string;
  readonly leaseUntil: Date;
}

export function isTaskFinished(status: TaskStatus): boolean {
  return status !== 'PENDING' && status !== 'RUNNING';
}

export async function findTasks(db: Database | DatabaseTransaction, ids: readonly string[]): Promise<Task[]> {
  if (ids.length === 0) return [];
  const rows = await db.selectFrom('all_tasks').selectAll().where('id', 'in', ids).execute();
  return rows.map(toTask);
}

export async function findTask(db: Database | DatabaseTransaction, id: string): Promise<Task | null> {
  return (await findTasks(db, [id]))[0] ?? null;
}

export function toTask(row: Selectable<AllTasksView>): Task {
  return {
    id: row.id,
    projectId: row.project_id,
    type: row.type,
    isBuild: row.is_build,
    status: row.status,
    labels: row.labels ?? {},
    needs: row.needs,
    priority: row.priority,
    concurrencyKey: row.concurrency_key,
    callbackUrl: row.callback_url,
    retry: {
      maxAttempts: row.max_attempts,
      backoffSeconds: row.backoff_seconds,
      maxBackoffSeconds: row.max_backoff_seconds,
    },
    leaseSeconds: row.lease_seconds,
    readyAt: row.ready_at,
    attemptNo: row.attempt_no,
    failures: row.failures,
    leaseUntil: row.lease_until,
    claimedBy: row.claimed_by,
    progress: row.progress,
    lastSeq: row.last_seq,
    cancelRequestedAt: row.cancel_requested_at,
    cancelReason: row.cancel_reason,
    failure: row.failure as TaskFailure | null,
    deadLetteredAt: row.dead_lettered_at,
    idempotencyKey: row.idempotency_key,
    requestedBy: row.requested_by,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

/** Of a row that is no build. */
export function ownTask(row: Selectable<TasksTable>): Task {
  return toTask({ ...row, is_build: false });
}

/** What only a build's own API may do to a build. */
export function refuseBuild(task: Pick<Task, 'id' | 'status' | 'isBuild'>): void {
  if (!task.isBuild) return;
  const build = toPublicId('build', task.id);
  throw new TaskStateError(task.status, `This task is the build ${build}, which only its own worker changes.`);
}
