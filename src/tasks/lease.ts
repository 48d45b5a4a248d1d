/** The fence of a running task: every write of its worker names the lease that it was claimed with. */
import { type RawBuilder, type Selectable, sql } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { TasksTable } from '../database/task-tables.ts';
import { InvalidInputError, inputIssues, LeaseLostError, NotFoundError } from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import type { Queue } from '../queue/queue.ts';
import { toPublicId } from '../std/public-id.ts';
import { findTask, refuseBuild } from './task.ts';

export interface TaskDeps {
  readonly db: Database;
  readonly queue: Queue;
  readonly hub: EventHub;
}

export type TaskRow = Selectable<TasksTable>;

/** The row, locked. Throws NotFoundError, or TaskStateError of a build. */
export async function lockTask(trx: DatabaseTransaction, id: string): Promise<TaskRow> {
  const row = await trx.selectFrom('tasks').selectAll().where('id', '=', id).forNoKeyUpdate().executeTakeFirst();
  if (row) return row;
  const build = await findTask(trx, id);
  if (build) refuseBuild(build);
  throw new NotFoundError('task', toPublicId('task', id));
}

/** Does this lease hold? One that has run out does not, also when nobody has noticed yet. */
async function holdsLease(trx: DatabaseTransaction, row: TaskRow, leaseToken: string): Promise<boolean> {
  if (row.status !== 'RUNNING' || row.lease_token !== leaseToken.toLowerCase()) return false;
  const { rows } = await sql<{ holds: boolean }>`
    select ${row.lease_until}::timestamptz > clock_timestamp() as holds`.execute(trx);
  return rows[0]?.holds ?? false;
}

/** Throws LeaseLostError. */
export async function requireLease(trx: DatabaseTransaction, row: TaskRow, leaseToken: string): Promise<void> {
  if (!(await holdsLease(trx, row, leaseToken))) throw new LeaseLostError(row.status);
}

/** The last holder's last word, sent once more because its answer was lost. */
export function isRepeated(row: TaskRow, leaseToken: string, word: TaskRow['ended_by']): boolean {
  return row.ended_lease === leaseToken.toLowerCase() && row.ended_by === word;
}

/** Columns of a row whose lease has ended. */
export function withoutLease(row: TaskRow, word: TaskRow['ended_by']) {
  return {
    lease_token: null,
    lease_until: null,
    worker_id: null,
    ended_lease: word === null ? null : row.lease_token,
    ended_by: word,
  };
}

export function seconds(count: number): RawBuilder<Date> {
  return sql<Date>`clock_timestamp() + make_interval(secs => ${count})`;
}

interface Checked<T> {
  safeParse(
    value: unknown,
  ):
    | { success: true; data: T }
    | { success: false; error: { issues: readonly { path: readonly PropertyKey[]; message: string }[] } };
}

/** Throws InvalidInputError with paths from `input`. */
export function parseInput<T>(schema: Checked<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (!parsed.success) throw new InvalidInputError(inputIssues(parsed.error, ['input']));
  return parsed.data;
}
