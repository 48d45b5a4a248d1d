-- Projects, the tokens that may use them, their secrets, and the record of who did what.

create table projects (
  id              uuid primary key,
  slug            text not null check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name            text not null,
  status          text not null default 'ACTIVE' check (status in ('PROVISIONING', 'ACTIVE', 'FAILED', 'ARCHIVED')),
  -- Null means: a bare repository that Slipway keeps in its own data folder.
  repository_url  text,
  default_branch  text not null,
  template        text,
  settings        jsonb not null default '{}',
  -- Taken under this row's lock: build numbers, and the cursor of projectActivity. A sequence would not do:
  -- its numbers become visible out of order, and a reader that has passed 8 never sees a late 7.
  build_count     integer not null default 0,
  activity_seq    bigint not null default 0,
  -- Selects the callback signing secret, which is derived from the master key and never stored.
  secret_version  integer not null default 1,
  created_by      text not null,
  creation_key    text,
  creation_hash   text,
  created_at      timestamptz(3) not null default now(),
  updated_at      timestamptz(3) not null default now(),
  archived_at     timestamptz(3),
  check ((archived_at is not null) = (status = 'ARCHIVED')),
  check ((creation_key is null) = (creation_hash is null)),
  unique (created_by, creation_key)
) with (fillfactor = 80);

-- An archived project gives its slug free.
create unique index projects_slug on projects (slug) where status <> 'ARCHIVED';

create table api_tokens (
  id            uuid primary key,
  name          text not null,
  -- SHA-256 of the whole token: it has 256 random bits, so a slow hash would only cost time.
  hash          bytea not null unique,
  scopes        text[] not null,
  -- Null means every project.
  project_ids   uuid[],
  created_by    text not null,
  created_at    timestamptz(3) not null default now(),
  expires_at    timestamptz(3),
  revoked_at    timestamptz(3),
  last_used_at  timestamptz(3)
);

create table credentials (
  id          uuid primary key,
  project_id  uuid not null references projects,
  name        text not null,
  -- A JWE (dir, A256GCM) whose header names the key; only a worker opens it.
  sealed      text not null,
  created_at  timestamptz(3) not null default now(),
  updated_at  timestamptz(3) not null default now(),
  unique (project_id, name)
);

create table audit_log (
  id            bigint generated always as identity primary key,
  at            timestamptz(3) not null default now(),
  actor         text not null,
  action        text not null,
  subject_type  text not null,
  subject_id    uuid not null,
  project_id    uuid,
  detail        jsonb not null default '{}'
);

create index audit_log_subject on audit_log (subject_id, id);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'audit_log is append-only';
end $$;

create trigger audit_log_append_only before update or delete or truncate on audit_log
  for each statement execute function refuse_change();
