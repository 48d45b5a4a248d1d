-- What workers are good for, who has told them to take nothing, and how new ones come.

-- Until now nobody wrote any. `provider:<name>`, `runtime:<name>`, and what the operator says: `gpu`, `arch=arm64`.
alter table workers drop column labels;
alter table workers
  add column labels       text[] not null default '{}',
  -- { cpus, memoryBytes, platform, arch }; {} of a worker of an earlier version.
  add column hardware     jsonb not null default '{}',
  -- The token with which it works over the API; null: it is beside the database.
  add column token_id     uuid references api_tokens,
  -- Takes nothing new until somebody says otherwise. A worker that comes with the name and place of this one is it, too.
  add column cordoned_at  timestamptz(3),
  add column cordoned_by  text,
  -- It is to end: what still runs at this time is let go of in this way.
  add column drain_until  timestamptz(3),
  add column drain_mode   text check (drain_mode in ('PUT_BACK', 'LEAVE')),
  add column drained_by   text,
  -- Its leases are renewed no more: what it ran was put back.
  add column evicted_at   timestamptz(3),
  add column evicted_by   text,
  add check ((cordoned_at is null) = (cordoned_by is null)),
  add check ((drain_until is null) = (drain_mode is null) and (drain_until is null) = (drained_by is null)),
  add check ((evicted_at is null) = (evicted_by is null));

-- Not by heartbeat_at: heartbeats stay heap-only updates.
create index workers_not_stopped on workers (id) where stopped_at is null;
create index workers_place on workers (host, name, id);

-- The attempts of a worker, in the order in which they began.
alter table build_attempts add column seq bigint generated always as identity;
create index build_attempts_worker on build_attempts (worker_id, seq);

-- One-time tokens with which workers on other machines get an API token of their own.
create table worker_enrolments (
  id           uuid primary key,
  name         text not null,
  hash         bytea not null unique,
  -- What the worker is good for, whatever it says itself; null: what it says counts.
  labels       text[],
  -- Null means every project.
  project_ids  uuid[],
  created_by   text not null,
  created_at   timestamptz(3) not null default now(),
  expires_at   timestamptz(3) not null,
  revoked_at   timestamptz(3),
  used_at      timestamptz(3),
  -- Of the number that the client chose: who lost the answer gets the same one again, for a while.
  nonce_hash   bytea,
  token_id     uuid references api_tokens,
  -- { name, version, capacity, labels }: what the worker said of itself.
  worker       jsonb,
  -- Refusals that are in the audit log: only the first of them are.
  refusals     integer not null default 0,
  check ((used_at is null) = (token_id is null) and (used_at is null) = (nonce_hash is null)),
  check (used_at is null or worker is not null)
);
create index worker_enrolments_open on worker_enrolments (expires_at) where used_at is null and revoked_at is null;
create index worker_enrolments_token on worker_enrolments (token_id) where token_id is not null;
