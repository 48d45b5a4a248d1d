/** The row type of every table, on one page. `migrations/` says what the columns mean. */
import type { ColumnType, Generated, GeneratedAlways } from 'kysely';
import type { TaskTables } from './task-tables.ts';
import type { WorkerEnrolmentsTable, WorkersTable } from './worker-tables.ts';

/** jsonb: read as a value, written as JSON text. */
type Json<T> = ColumnType<T, string, string>;
/** jsonb with a default. */
type DefaultJson<T> = ColumnType<T, string | undefined, string>;
/** timestamptz with a default. */
type DefaultTime = ColumnType<Date, Date | string | undefined, Date | string>;
/** bigint: small enough for a number in all of ours; the pool parses it so. */
type BigInt = ColumnType<number, number | undefined, number>;

export interface ProjectsTable {
  id: string;
  slug: string;
  name: string;
  status: Generated<'PROVISIONING' | 'ACTIVE' | 'FAILED' | 'ARCHIVED'>;
  repository_url: string | null;
  default_branch: string;
  template: string | null;
  settings: DefaultJson<Record<string, unknown>>;
  build_count: Generated<number>;
  activity_seq: BigInt;
  secret_version: Generated<number>;
  version: GeneratedAlways<number>;
  created_by: string;
  creation_key: string | null;
  creation_hash: string | null;
  created_at: DefaultTime;
  updated_at: DefaultTime;
  archived_at: Date | null;
}

export interface ApiTokensTable {
  id: string;
  name: string;
  hash: Buffer;
  scopes: string[];
  project_ids: string[] | null;
  created_by: string;
  created_at: DefaultTime;
  expires_at: Date | null;
  revoked_at: Date | null;
  last_used_at: Date | null;
  secret_version: Generated<number>;
  rotated_at: Date | null;
  previous_hash: Buffer | null;
  previous_until: Date | null;
}

/** A view. */
export interface ValidTokenSecretsView {
  token_id: string;
  hash: Buffer;
  secret_version: number;
  name: string;
  scopes: string[];
  project_ids: string[] | null;
  last_used_at: Date | null;
  /** Of the secret: the token's own end, or the end of the time in which an earlier secret goes on. */
  expires_at: Date | null;
}

export interface MasterKeyTable {
  is_only: Generated<boolean>;
  id: string;
  key_id: string;
  callback_root: string;
  created_at: DefaultTime;
  rotated_at: Date | null;
}

export interface InstallationTable {
  is_only: Generated<boolean>;
  id: Generated<string>;
}

export interface RateBudgetsTable {
  token_id: string;
  points: number;
  refilled_at: Date;
}

export interface CredentialsTable {
  id: string;
  project_id: string | null;
  name: string;
  kind: 'GIT' | 'MODEL_API_KEY' | 'CALLBACK_SIGNING' | 'REGISTRY' | 'DEPLOY';
  target: string | null;
  base_url: string | null;
  sealed: string;
  key_id: string;
  previous_sealed: string | null;
  max_running: ColumnType<number | null, undefined, number | null>;
  previous_until: Date | null;
  created_at: DefaultTime;
  updated_at: DefaultTime;
  last_used_at: Date | null;
}

export interface AuditLogTable {
  id: GeneratedAlways<number>;
  at: DefaultTime;
  actor: string;
  action: string;
  subject_type: string;
  subject_id: string;
  project_id: string | null;
  detail: DefaultJson<Record<string, unknown>>;
}

export interface AgentDriftTable {
  agent: string;
  version: string;
  name: string;
  count: BigInt;
  first_seen_at: DefaultTime;
  last_seen_at: DefaultTime;
}

export interface BuildAuditTable {
  id: string;
  project_id: string;
  number: number;
  status: Generated<'PENDING' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED'>;
  phase: Generated<'QUEUED' | 'PREPARING' | 'AGENT' | 'VERIFYING' | 'PUBLISHING' | 'COLLECTING' | 'DONE'>;
  waiting_for: 'INPUT' | 'APPROVAL' | 'QUOTA' | null;
  source: 'API' | 'RETRY' | 'WEBHOOK' | 'SCHEDULE' | 'WORKFLOW';
  spec: Json<unknown>;
  provider: GeneratedAlways<string>;
  template: GeneratedAlways<string | null>;
  branch: GeneratedAlways<string>;
  priority: Generated<number>;
  run_after: Date | null;
  resume_at: Date | null;
  quota_waits: Generated<number>;
  attempt_no: Generated<number>;
  lost_attempts: Generated<number>;
  worker_id: string | null;
  lease_until: Date | null;
  last_seq: BigInt;
  last_line: BigInt;
  ledger_no: Generated<number>;
  ledger_answer: ColumnType<unknown, string | undefined, string>;
  talk_no: Generated<number>;
  cancel_requested_at: Date | null;
  cancel_reason: string | null;
  checkpoint: DefaultJson<unknown>;
  base_sha: string | null;
  push_intent_sha: string | null;
  pushed_sha: string | null;
  result: ColumnType<unknown, string | undefined, string>;
  failure: ColumnType<unknown, string | undefined, string | null>;
  usage: ColumnType<unknown, string | undefined, string | null>;
  idempotency_key: string | null;
  input_hash: string | null;
  retry_of: string | null;
  superseded_by: string | null;
  schedule_id: string | null;
  scheduled_for: Date | null;
  requested_by: string;
  traceparent: string | null;
  created_at: DefaultTime;
  started_at: Date | null;
  finished_at: Date | null;
}

export interface ProjectSpendTable {
  project_id: string;
  /** `2026-11-21`. */
  day: string;
  /** numeric: text, so that no digit is lost. */
  cost_usd: Generated<string>;
  tokens: BigInt;
  unpriced_tokens: BigInt;
}

export interface QuotaPausesTable {
  provider: string;
  credential: string;
  variable: string | null;
  until: Date;
}

export interface BuildAttemptsTable {
  build_id: string;
  attempt_no: number;
  worker_id: string;
  started_at: DefaultTime;
  ended_at: Date | null;
  outcome: 'FINISHED' | 'LOST' | 'RELEASED' | null;
  seq: GeneratedAlways<number>;
}

export interface ArtifactsTable {
  id: string;
  build_id: string;
  name: string;
  content_type: string;
  size_bytes: BigInt;
  sha256: string;
  created_at: DefaultTime;
}

export interface BuildEventsTable {
  build_id: string;
  seq: number;
  attempt_no: number;
  type: string;
  at: Date;
  data: Json<unknown>;
}

export interface BuildLogsTable {
  build_id: string;
  first_line: number;
  line_count: number;
  attempt_no: number;
  at: Date;
  content: Buffer;
}

export interface ProjectEventsTable {
  project_id: string;
  seq: number;
  build_id: string;
  build_seq: number;
  type: string;
  at: Date;
}

export interface DeliveriesTable {
  id: string;
  /** Exactly one of these two. */
  build_id: string | null;
  task_id: string | null;
  project_id: string;
  kind: 'build.finished' | 'task.finished';
  url: string;
  host: GeneratedAlways<string>;
  status: Generated<'PENDING' | 'DELIVERED' | 'FAILED'>;
  tries: Generated<number>;
  due_at: ColumnType<Date | null, Date | undefined, Date | null>;
  lease_until: Date | null;
  delivered_at: Date | null;
  created_at: DefaultTime;
}

export interface DeliveryAttemptsTable {
  delivery_id: string;
  attempt_no: number;
  at: Date;
  duration_ms: number;
  status_code: number | null;
  error: string | null;
  response: string | null;
}

export interface BuildMessagesTable {
  id: string;
  build_id: string;
  mode: 'QUEUE' | 'STEER' | 'INTERRUPT';
  text: string;
  state: Generated<'PENDING' | 'DELIVERED' | 'UNDELIVERED'>;
  delivered_as: 'QUEUE' | 'STEER' | 'INTERRUPT' | null;
  sent_by: string;
  idempotency_key: string | null;
  created_at: DefaultTime;
  delivered_at: Date | null;
}

export interface BuildQuestionsTable {
  id: string;
  build_id: string;
  request_id: string;
  run_no: number;
  request: Json<unknown>;
  state: Generated<'OPEN' | 'ANSWERED' | 'APPROVED' | 'REJECTED' | 'EXPIRED' | 'WITHDRAWN'>;
  word: ColumnType<unknown, string | undefined, string | null>;
  asked_at: DefaultTime;
  expires_at: Date;
  closed_at: Date | null;
  closed_by: string | null;
}

export interface IntendedCommitsTable {
  build_id: string;
  sha: string;
  pack: Buffer;
}

export interface SchedulesTable {
  id: string;
  project_id: string;
  name: string;
  cron: string;
  time_zone: string;
  spec: Json<unknown>;
  overlap: 'SKIP_IF_RUNNING' | 'QUEUE' | 'CANCEL_RUNNING';
  catch_up: 'NONE' | 'LATEST' | 'ALL';
  catch_up_seconds: number;
  next_run_at: Date | null;
  last_run_at: Date | null;
  last_build_id: string | null;
  last_skipped_at: Date | null;
  last_skipped_reason: string | null;
  last_error: string | null;
  refusals: Generated<number>;
  paused_at: Date | null;
  paused_reason: string | null;
  created_by: string;
  created_at: DefaultTime;
  updated_at: DefaultTime;
}

export interface Tables extends TaskTables {
  projects: ProjectsTable;
  api_tokens: ApiTokensTable;
  rate_budgets: RateBudgetsTable;
  valid_token_secrets: ValidTokenSecretsView;
  master_key: MasterKeyTable;
  installation: InstallationTable;
  credentials: CredentialsTable;
  audit_log: AuditLogTable;
  workers: WorkersTable;
  agent_drift: AgentDriftTable;
  build_audit: BuildAuditTable;
  build_attempts: BuildAttemptsTable;
  project_spend: ProjectSpendTable;
  quota_pauses: QuotaPausesTable;
  build_messages: BuildMessagesTable;
  build_questions: BuildQuestionsTable;
  intended_commits: IntendedCommitsTable;
  artifacts: ArtifactsTable;
  build_events: BuildEventsTable;
  build_logs: BuildLogsTable;
  project_events: ProjectEventsTable;
  deliveries: DeliveriesTable;
  delivery_attempts: DeliveryAttemptsTable;
  worker_enrolments: WorkerEnrolmentsTable;
  schedules: SchedulesTable;
}
