-- The public queue of tasks: what payloads look like, the tasks, what happened to them, and who is told.

create table task_types (
  id          uuid primary key,
  -- Null: of every project that has none of this name itself.
  project_id  uuid references projects,
  name        text not null,
  -- A JSON Schema (2020-12) of the payload.
  schema      jsonb not null,
  created_at  timestamptz(3) not null default now(),
  updated_at  timestamptz(3) not null default now(),
  unique nulls not distinct (project_id, name)
);

-- A build is a task, too, and none of these: see all_tasks.
create table tasks (
  id                   uuid primary key,
  project_id           uuid not null references projects,
  type                 text not null check (type <> 'build'),
  status               text not null default 'PENDING'
                       check (status in ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  payload              jsonb not null,
  labels               jsonb not null default '{}',
  -- Labels that a worker must have.
  needs                text[] not null default '{}',
  priority             integer not null default 0,
  concurrency_key      text,
  callback_url         text,
  max_attempts         integer not null check (max_attempts between 1 and 100),
  backoff_seconds      integer not null check (backoff_seconds >= 0),
  max_backoff_seconds  integer not null check (max_backoff_seconds >= backoff_seconds),
  lease_seconds        integer not null check (lease_seconds between 5 and 3600),
  -- Since when it can be claimed, or from when on: what a wait is measured from.
  ready_at             timestamptz(3) not null default now(),
  -- Every claim raises it.
  attempt_no           integer not null default 0,
  -- Attempts that failed or were lost since it was enqueued or requeued: when there are max_attempts, it has failed.
  failures             integer not null default 0,
  -- The fence: each claim gives a new one, and whoever holds another changes nothing.
  lease_token          uuid,
  lease_until          timestamptz(3),
  claimed_by           text,
  -- How the last lease ended, if its holder ended it: the same word sent again gets the same answer.
  ended_lease          uuid,
  ended_by             text check (ended_by in ('COMPLETE', 'FAIL', 'RELEASE')),
  progress             jsonb,
  -- Taken under this row's lock, so events are numbered without gaps in commit order.
  last_seq             bigint not null default 0,
  cancel_requested_at  timestamptz(3),
  cancel_reason        text,
  result               jsonb,
  -- Of the last attempt that failed.
  failure              jsonb,
  dead_lettered_at     timestamptz(3),
  idempotency_key      text,
  input_hash           text,
  requested_by         text not null,
  created_at           timestamptz(3) not null default now(),
  -- The last claim.
  started_at           timestamptz(3),
  finished_at          timestamptz(3),
  unique (project_id, idempotency_key),
  check ((finished_at is null) = (status in ('PENDING', 'RUNNING'))),
  check ((lease_until is not null) = (status = 'RUNNING')),
  check ((lease_token is not null) = (status = 'RUNNING')),
  check (status <> 'RUNNING' or (attempt_no > 0 and claimed_by is not null and started_at is not null)),
  check ((dead_lettered_at is not null) = (status = 'FAILED')),
  check (status <> 'FAILED' or failure is not null),
  check ((ended_lease is null) = (ended_by is null)),
  check ((idempotency_key is null) = (input_hash is null))
-- Heartbeats update the row: room on its page keeps those updates heap-only where they touch no index.
) with (fillfactor = 70);

create index tasks_project on tasks (project_id, id);
create index tasks_status on tasks (status, id);
create index tasks_type on tasks (type, id);
create index tasks_pending on tasks (type, ready_at) where status = 'PENDING';
create index tasks_leases on tasks (lease_until) where status = 'RUNNING';
create index tasks_started on tasks (started_at) where started_at is not null;
create index tasks_finished on tasks (finished_at) where finished_at is not null;
create index tasks_labels on tasks using gin (labels jsonb_path_ops);

create table task_events (
  task_id     uuid not null references tasks,
  seq         bigint not null,
  attempt_no  integer not null,
  type        text not null,
  at          timestamptz(3) not null,
  data        jsonb not null,
  primary key (task_id, seq)
);

-- What is read of every task, without its documents. A build of whatever origin is a task of type `build`, with the id of
-- the build: read from the build's own row, so that there is one truth.
create view all_tasks as
select id, project_id, type, status, labels, needs, priority, concurrency_key, callback_url, max_attempts, backoff_seconds,
       max_backoff_seconds, lease_seconds, ready_at, attempt_no, failures, lease_until, claimed_by, progress, last_seq,
       cancel_requested_at, cancel_reason, failure, dead_lettered_at, idempotency_key, requested_by, created_at, started_at,
       finished_at, false as is_build
  from tasks
union all
select id, project_id, 'build', status, spec -> 'labels',
       array['provider:' || provider] || array(select jsonb_array_elements_text(spec -> 'runsOn')), priority, spec ->> 'concurrencyKey',
       spec ->> 'callbackUrl', 1, 0, 0, 15, coalesce(resume_at, run_after, created_at), attempt_no, lost_attempts,
       lease_until, 'worker_' || replace(worker_id::text, '-', ''), null::jsonb, last_seq, cancel_requested_at,
       cancel_reason,
       case when failure is null then null
            else jsonb_build_object('reason', coalesce(failure ->> 'message', failure ->> 'reason'),
                                    'retryable', coalesce((failure ->> 'retryable')::boolean, false)) end,
       case when status = 'FAILED' then finished_at end, idempotency_key, requested_by, created_at, started_at,
       finished_at, true
  from build_audit;

-- Appends events to a task whose row the caller has locked, or locks it; returns the task's new last_seq.
--   p_events  [{ type, data }], numbered in this order
create function append_task_events(p_task uuid, p_events jsonb) returns bigint language plpgsql as $$
declare
  v_count integer := jsonb_array_length(p_events);
  v_attempt integer;
  v_seq bigint;
begin
  update tasks set last_seq = last_seq + v_count where id = p_task returning attempt_no, last_seq into v_attempt, v_seq;
  insert into task_events (task_id, seq, attempt_no, type, at, data)
  select p_task, v_seq - v_count + e.n, v_attempt, e.event ->> 'type', clock_timestamp(), e.event -> 'data'
    from jsonb_array_elements(p_events) with ordinality e (event, n);
  return v_seq;
end $$;

-- Gives one task each to at most as many claimants as there are ready tasks, in one statement: the queue's lock is held
-- until its transaction ends, so nothing else may follow in it.
--   p_claimants  who they are; each gets at most one
--   p_kinds      `task:<type>`
--   p_labels     what the claimants have
--   p_projects   only tasks of these; null means all
create function claim_tasks(p_claimants text[], p_kinds text[], p_labels text[], p_projects uuid[]) returns setof tasks
language plpgsql as $$
declare
  v_item record;
  v_task tasks;
  v_given integer := 0;
begin
  for v_item in
    select q.id from queue_claim(p_worker => null, p_kinds => p_kinds, p_labels => p_labels,
                                 p_max => cardinality(p_claimants), p_projects => p_projects) q
  loop
    select * into v_task from tasks where id = v_item.id and status = 'PENDING' for no key update skip locked;
    if not found then
      -- Somebody is changing it, or it is over: back into the queue, or out of it.
      if exists (select from tasks where id = v_item.id and status = 'PENDING') then
        perform queue_put_back(v_item.id, clock_timestamp());
      else
        perform queue_remove(v_item.id);
      end if;
      continue;
    end if;
    v_given := v_given + 1;
    update tasks
       set status = 'RUNNING', attempt_no = attempt_no + 1, lease_token = gen_random_uuid(),
           lease_until = clock_timestamp() + make_interval(secs => lease_seconds), claimed_by = p_claimants[v_given],
           progress = null, started_at = clock_timestamp()
     where id = v_item.id;
    perform append_task_events(v_item.id, jsonb_build_array(jsonb_build_object('type', 'CLAIMED', 'data',
      jsonb_build_object('claimedBy', p_claimants[v_given]))));
    select * into v_task from tasks where id = v_item.id;
    return next v_task;
  end loop;
end $$;

-- The outbox reports tasks, too.
alter table deliveries
  alter column build_id drop not null,
  add column task_id uuid references tasks,
  drop constraint deliveries_kind_check,
  add constraint deliveries_kind_check check (kind in ('build.finished', 'task.finished')),
  add constraint deliveries_subject check (num_nonnulls(build_id, task_id) = 1),
  add constraint deliveries_task_kind check ((kind = 'task.finished') = (task_id is not null)),
  add unique (task_id, kind);
