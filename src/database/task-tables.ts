/** The row types of the task queue; a part of `tables.ts`. */
import type { ColumnType, Generated } from 'kysely';

type Json<T> = ColumnType<T, string, string>;
type NullableJson = ColumnType<unknown, string | null | undefined, string | null>;
type DefaultTime = ColumnType<Date, Date | string | undefined, Date | string>;
type TaskStatus = 'PENDING' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';

interface TaskTypesTable {
  id: string;
  project_id: string | null;
  name: string;
  schema: Json<Record<string, unknown>>;
  created_at: DefaultTime;
  updated_at: DefaultTime;
}

export interface TasksTable {
  id: string;
  project_id: string;
  type: string;
  status: Generated<TaskStatus>;
  payload: Json<unknown>;
  labels: ColumnType<Record<string, string>, string | undefined, string>;
  needs: Generated<string[]>;
  priority: Generated<number>;
  concurrency_key: string | null;
  callback_url: string | null;
  max_attempts: number;
  backoff_seconds: number;
  max_backoff_seconds: number;
  lease_seconds: number;
  ready_at: DefaultTime;
  attempt_no: Generated<number>;
  failures: Generated<number>;
  lease_token: string | null;
  lease_until: Date | null;
  claimed_by: string | null;
  /** Null: a program of somebody has it, or nobody. */
  worker_id: string | null;
  claim_id: string | null;
  ended_lease: string | null;
  ended_by: 'COMPLETE' | 'FAIL' | 'RELEASE' | null;
  progress: NullableJson;
  last_seq: Generated<number>;
  dropped_seq: Generated<number>;
  cancel_requested_at: Date | null;
  cancel_reason: string | null;
  result: NullableJson;
  failure: NullableJson;
  dead_lettered_at: Date | null;
  idempotency_key: string | null;
  input_hash: string | null;
  requested_by: string;
  created_at: DefaultTime;
  started_at: Date | null;
  finished_at: Date | null;
}

/** A view. */
export interface AllTasksView {
  id: string;
  project_id: string;
  type: string;
  status: TaskStatus;
  labels: Record<string, string> | null;
  needs: string[];
  priority: number;
  concurrency_key: string | null;
  callback_url: string | null;
  max_attempts: number;
  backoff_seconds: number;
  max_backoff_seconds: number;
  lease_seconds: number;
  ready_at: Date;
  attempt_no: number;
  failures: number;
  lease_until: Date | null;
  claimed_by: string | null;
  progress: unknown;
  last_seq: number;
  cancel_requested_at: Date | null;
  cancel_reason: string | null;
  failure: unknown;
  dead_lettered_at: Date | null;
  idempotency_key: string | null;
  requested_by: string;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  is_build: boolean;
}

interface TaskEventsTable {
  task_id: string;
  seq: number;
  attempt_no: number;
  type: string;
  at: Date;
  data: Json<unknown>;
}

export interface TaskTables {
  task_types: TaskTypesTable;
  tasks: TasksTable;
  all_tasks: AllTasksView;
  task_events: TaskEventsTable;
}
