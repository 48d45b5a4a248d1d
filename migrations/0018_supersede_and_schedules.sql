-- Builds that take the place of others, and builds that are started by the clock.

create table schedules (
  id                      uuid primary key,
  project_id              uuid not null references projects,
  name                    text not null,
  -- Five fields, or a name such as @daily; in the time of this zone.
  cron                    text not null,
  time_zone               text not null,
  -- The input of its builds, as it was given: defaults are filled in when a build is started.
  spec                    jsonb not null,
  overlap                 text not null check (overlap in ('SKIP_IF_RUNNING', 'QUEUE', 'CANCEL_RUNNING')),
  catch_up                text not null check (catch_up in ('NONE', 'LATEST', 'ALL')),
  catch_up_seconds        integer not null check (catch_up_seconds between 300 and 2592000),
  -- Null while it is paused. Its job in pg-boss has the schedule's id and this time.
  next_run_at             timestamptz(3),
  last_run_at             timestamptz(3),
  last_build_id           uuid,
  last_skipped_at         timestamptz(3),
  last_skipped_reason     text,
  -- What the last try was refused for; null when it was not.
  last_error              text,
  -- In a row.
  refusals                integer not null default 0,
  paused_at               timestamptz(3),
  paused_reason           text,
  created_by              text not null,
  created_at              timestamptz(3) not null default now(),
  updated_at              timestamptz(3) not null default now(),
  unique (project_id, name),
  check ((next_run_at is null) = (paused_at is not null)),
  check (paused_at is not null or paused_reason is null),
  check ((last_skipped_at is null) = (last_skipped_reason is null))
);

create index schedules_project on schedules (project_id, id);
create index schedules_next on schedules (next_run_at) where next_run_at is not null;

-- Neither of them references its row: a reference would be checked under a lock on that row, which whoever accepts a build
-- may not wait for, and a schedule may be deleted while its builds stay.
alter table build_audit
  add column superseded_by  uuid,
  add column schedule_id    uuid,
  -- The moment of the schedule that it was started for.
  add column scheduled_for  timestamptz(3),
  add check (superseded_by is null or cancel_requested_at is not null),
  add check ((schedule_id is null) = (scheduled_for is null));

create index build_audit_superseded_by on build_audit (superseded_by, id) where superseded_by is not null;
create index build_audit_schedule on build_audit (schedule_id, id) where schedule_id is not null;
create unique index build_audit_scheduled_for on build_audit (schedule_id, scheduled_for) where schedule_id is not null;
-- Who takes the place of whom is asked with every build that is accepted.
create index build_audit_open on build_audit (project_id, branch, id) where finished_at is null;
