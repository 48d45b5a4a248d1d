-- The outbox of callbacks: a row is written in the transaction that finishes the build, and stays.

create table deliveries (
  -- Also the webhook-id header: one id per (build, kind), the same at every try and at every redelivery.
  id             uuid primary key,
  build_id       uuid not null references build_audit,
  project_id     uuid not null references projects,
  kind           text not null check (kind in ('build.finished')),
  url            text not null,
  -- How many are on their way is limited per host, so that a slow one does not delay the others.
  host           text not null generated always as (lower(substring(url from '^[^:]+://([^/?#]+)'))) stored,
  status         text not null default 'PENDING' check (status in ('PENDING', 'DELIVERED', 'FAILED')),
  -- Tries in the current round: a redelivery starts a new round.
  tries          integer not null default 0,
  due_at         timestamptz(3) default now(),
  -- Held by the worker that is sending; a worker that died lets it run out.
  lease_until    timestamptz(3),
  delivered_at   timestamptz(3),
  created_at     timestamptz(3) not null default now(),
  unique (build_id, kind),
  check ((due_at is not null) = (status = 'PENDING'))
);

create index deliveries_due on deliveries (due_at) where status = 'PENDING';
create index deliveries_due_by_host on deliveries (host, due_at) where status = 'PENDING';

create table delivery_attempts (
  delivery_id  uuid not null references deliveries,
  attempt_no   integer not null,
  at           timestamptz(3) not null,
  duration_ms  integer not null,
  status_code  integer,
  error        text,
  response     text,
  primary key (delivery_id, attempt_no)
);
