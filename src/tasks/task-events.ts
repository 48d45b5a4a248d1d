/** What happens to a task, written and read back. Those of a build task are the build's. */
import { sql } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { type Keyset, readChildPages } from '../database/keyset.ts';
import { BUILD_EVENT_TYPES } from '../events/event.ts';

const TASK_EVENT_TYPES = [
  'QUEUED',
  'CLAIMED',
  'PROGRESS',
  'RELEASED',
  'RETRY_SCHEDULED',
  'CANCEL_REQUESTED',
  'REQUEUED',
  'FINISHED',
] as const;
export type TaskEventType = (typeof TASK_EVENT_TYPES)[number];

/** Build event -> task event: those that a task has, too. */
const OF_BUILDS: Readonly<Partial<Record<(typeof BUILD_EVENT_TYPES)[number], TaskEventType>>> = {
  QUEUED: 'QUEUED',
  STARTED: 'CLAIMED',
  PROGRESS: 'PROGRESS',
  RETRY_SCHEDULED: 'RETRY_SCHEDULED',
  CANCEL_REQUESTED: 'CANCEL_REQUESTED',
  FINISHED: 'FINISHED',
};
const BUILD_TYPES = BUILD_EVENT_TYPES.filter((type) => OF_BUILDS[type]);

export interface NewTaskEvent {
  readonly type: TaskEventType;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface TaskEvent extends NewTaskEvent {
  readonly taskId: string;
  /** 1, 2, 3 … per task, without gaps; of a build task the build's numbers, which have some. */
  readonly seq: number;
  readonly attemptNo: number;
  readonly at: Date;
}

interface EventRow {
  readonly id: string;
  readonly seq: number;
  readonly attempt_no: number;
  readonly type: string;
  readonly at: Date;
  readonly data: unknown;
}

/** In the transaction that holds the task's row. */
export async function appendTaskEvents(
  trx: DatabaseTransaction,
  taskId: string,
  events: readonly NewTaskEvent[],
): Promise<void> {
  await sql`select append_task_events(${taskId}, ${JSON.stringify(events)}::jsonb)`.execute(trx);
}

/** At most `limit` events with a greater number, in order. */
export async function readTaskEvents(
  db: Database,
  page: { readonly taskId: string; readonly isBuild: boolean; readonly after: number; readonly limit: number },
): Promise<TaskEvent[]> {
  const { taskId, isBuild, after, limit } = page;
  const rows = isBuild
    ? await buildEvents(db)
        .where('build_id', '=', taskId)
        .where('seq', '>', after)
        .orderBy('seq')
        .limit(limit)
        .execute()
    : await taskEvents(db).where('task_id', '=', taskId).where('seq', '>', after).orderBy('seq').limit(limit).execute();
  return rows.map(toTaskEvent);
}

/** The same page of the events of each of these, which are all builds or all none, in one statement. */
export async function listTaskEventsOf(
  db: Database,
  { ids, isBuild }: { readonly ids: readonly string[]; readonly isBuild: boolean },
  keyset: Keyset,
): Promise<Map<string, TaskEvent[]>> {
  const rest = { parents: ids, column: 'seq', keyset };
  const pages = isBuild
    ? await readChildPages(db, { ...rest, childrenOf: (build) => buildEvents(db).where('build_id', '=', build) })
    : await readChildPages(db, { ...rest, childrenOf: (task) => taskEvents(db).where('task_id', '=', task) });
  return new Map([...pages].map(([id, rows]) => [id, rows.map(toTaskEvent)]));
}

function taskEvents(db: Database) {
  return db.selectFrom('task_events').select(['task_id as id', 'seq', 'attempt_no', 'type', 'at', 'data']);
}

function buildEvents(db: Database) {
  return db
    .selectFrom('build_events')
    .select(['build_id as id', 'seq', 'attempt_no', 'type', 'at', 'data'])
    .where(sql<boolean>`type = any(${BUILD_TYPES}::text[])`);
}

function toTaskEvent(row: EventRow): TaskEvent {
  const type = OF_BUILDS[row.type as (typeof BUILD_EVENT_TYPES)[number]] ?? (row.type as TaskEventType);
  return {
    taskId: row.id,
    seq: row.seq,
    attemptNo: row.attempt_no,
    type,
    at: row.at,
    data: row.data as object as never,
  };
}
