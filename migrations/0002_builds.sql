-- Workers, builds, and the attempts of workers at builds.

create table workers (
  id            uuid primary key,
  name          text not null,
  -- Which data folder on which machine: workers of one host share workspaces, so one goes on where another died.
  host          text not null,
  -- Process id and start time, boot and process namespace: a successor knows at once that this worker is dead.
  process       text not null,
  version       text not null,
  capacity      integer not null check (capacity > 0),
  labels        jsonb not null default '{}',
  -- [{ provider, version }]: the agents this worker can run.
  providers     jsonb not null default '[]',
  started_at    timestamptz(3) not null default now(),
  heartbeat_at  timestamptz(3) not null default now(),
  draining_at   timestamptz(3),
  stopped_at    timestamptz(3)
);

create table build_audit (
  id                   uuid primary key,
  project_id           uuid not null references projects,
  number               integer not null,
  status               text not null default 'PENDING'
                       check (status in ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  phase                text not null default 'QUEUED'
                       check (phase in ('QUEUED', 'PREPARING', 'AGENT', 'VERIFYING', 'PUBLISHING', 'COLLECTING', 'DONE')),
  waiting_for          text check (waiting_for in ('INPUT', 'APPROVAL', 'QUOTA')),
  source               text not null check (source in ('API', 'RETRY', 'WEBHOOK', 'SCHEDULE', 'WORKFLOW')),
  spec                 jsonb not null,
  provider             text not null generated always as (spec ->> 'provider') stored,
  template             text generated always as (spec ->> 'template') stored,
  branch               text not null generated always as (spec ->> 'branch') stored,
  priority             integer not null default 0,
  run_after            timestamptz(3),
  -- The fence. Every write of a worker names the attempt it belongs to; a claim raises the number, and from
  -- then on nothing that the earlier attempt does reaches a row or a remote.
  attempt_no           integer not null default 0,
  lost_attempts        integer not null default 0,
  worker_id            uuid references workers,
  lease_until          timestamptz(3),
  -- Taken under this row's lock, so events and log lines are numbered without gaps in commit order.
  last_seq             bigint not null default 0,
  last_line            bigint not null default 0,
  -- Numbers the writes of an attempt, so that one whose answer was lost is not applied twice.
  ledger_no            integer not null default 0,
  cancel_requested_at  timestamptz(3),
  cancel_reason        text,
  -- What the next attempt needs so that it goes on instead of starting over: see checkpoint.ts.
  checkpoint           jsonb not null default '{}',
  base_sha             text,
  push_intent_sha      text,
  pushed_sha           text,
  result               jsonb,
  failure              jsonb,
  usage                jsonb,
  idempotency_key      text,
  input_hash           text,
  retry_of             uuid references build_audit,
  requested_by         text not null,
  created_at           timestamptz(3) not null default now(),
  started_at           timestamptz(3),
  finished_at          timestamptz(3),
  unique (project_id, number),
  unique (project_id, idempotency_key),
  check ((finished_at is null) = (status in ('PENDING', 'RUNNING'))),
  check ((result is null) = (status in ('PENDING', 'RUNNING'))),
  check ((phase = 'DONE') = (finished_at is not null)),
  check ((phase = 'QUEUED') = (status = 'PENDING')),
  check ((lease_until is not null) = (status = 'RUNNING')),
  check (status <> 'RUNNING' or (attempt_no > 0 and worker_id is not null and started_at is not null)),
  check ((failure is not null) = (status = 'FAILED')),
  check (pushed_sha is null or pushed_sha = push_intent_sha),
  check ((idempotency_key is null) = (input_hash is null))
-- The row is updated at every flush of events: room on its page keeps those updates heap-only.
) with (fillfactor = 70);

create index build_audit_project on build_audit (project_id, id);
create index build_audit_worker on build_audit (worker_id, id) where worker_id is not null;
create index build_audit_status on build_audit (status, id);
create index build_audit_running on build_audit (lease_until) where status = 'RUNNING';
create index build_audit_pending on build_audit (project_id, id) where status = 'PENDING';
create index build_audit_finished on build_audit (finished_at) where finished_at is not null;
create index build_audit_labels on build_audit using gin ((spec -> 'labels') jsonb_path_ops);
create index build_audit_retry_of on build_audit (retry_of) where retry_of is not null;

create table build_attempts (
  build_id    uuid not null references build_audit,
  attempt_no  integer not null,
  worker_id   uuid not null references workers,
  started_at  timestamptz(3) not null default now(),
  ended_at    timestamptz(3),
  outcome     text check (outcome in ('FINISHED', 'LOST', 'RELEASED')),
  primary key (build_id, attempt_no),
  check ((ended_at is null) = (outcome is null))
);

create table artifacts (
  id            uuid primary key,
  build_id      uuid not null references build_audit,
  name          text not null,
  content_type  text not null,
  size_bytes    bigint not null,
  sha256        text not null,
  created_at    timestamptz(3) not null default now(),
  unique (build_id, name)
);
