-- Tokens whose secret can be replaced, and an audit log that can be searched.

-- The token stays who it is (its id, rights, idempotency keys) when its secret is replaced. The secret before that goes on
-- for a while, so that programs can change over one by one: at most two secrets of a token work at the same time.
alter table api_tokens
  add column secret_version  integer not null default 1,
  add column rotated_at      timestamptz(3),
  add column previous_hash   bytea unique,
  add column previous_until  timestamptz(3),
  add check ((previous_hash is null) = (previous_until is null));

-- The one place that says which secrets are good at this moment, by the clock of the database.
create view valid_token_secrets as
  select id as token_id, hash, secret_version, name, scopes, project_ids, last_used_at, expires_at
    from api_tokens
   where revoked_at is null and (expires_at is null or expires_at > now())
  union all
  select id, previous_hash, secret_version - 1, name, scopes, project_ids, last_used_at,
         least(expires_at, previous_until)
    from api_tokens
   where revoked_at is null and (expires_at is null or expires_at > now()) and previous_until > now();

create index audit_log_at on audit_log (at, id);
create index audit_log_actor on audit_log (actor, at, id);
create index audit_log_action on audit_log (action, at, id);
create index audit_log_project on audit_log (project_id, at, id);

-- Also where session_replication_role would switch ordinary triggers off.
alter table audit_log enable always trigger audit_log_append_only;
