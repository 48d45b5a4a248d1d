-- Credentials of a project or of all projects, by kind, and the master key that they are sealed with.

-- One row: which key is current. A process that does not have this key is refused.
create table master_key (
  is_only         boolean primary key default true check (is_only),
  -- The subject of the audit log's entries.
  id              uuid not null,
  key_id          text not null,
  -- A JWE of 32 bytes, from which the callback secrets of all projects are derived. It is sealed anew when the key
  -- changes and stays the same itself, so that no receiver notices.
  callback_root   text not null,
  created_at      timestamptz(3) not null default now(),
  rotated_at      timestamptz(3)
);

alter table credentials
  -- Null means every project; a project's own goes before.
  alter column project_id drop not null,
  add column kind text not null default 'GIT'
    check (kind in ('GIT', 'MODEL_API_KEY', 'CALLBACK_SIGNING', 'REGISTRY')),
  -- Where the secret goes, and nowhere else: an origin (GIT), a variable (MODEL_API_KEY), a URL (REGISTRY).
  add column target text,
  add column base_url text,
  -- The key of `sealed`, or of `previous_sealed` while that waits to be sealed anew.
  add column key_id text,
  -- CALLBACK_SIGNING: until `previous_until` the secret before this one signs, too. Without `previous_sealed` that is the
  -- one that all projects have, or the derived one.
  add column previous_sealed text,
  add column previous_until timestamptz(3),
  -- To the minute.
  add column last_used_at timestamptz(3);

-- Until here every credential was that of a project's http(s) repository. The key's id is in the header of the JWE.
update credentials set
  target = regexp_replace(lower(substring(p.repository_url from '(?i)^https?://[^/]+')), '^(https://.*):443$|^(http://.*):80$', '\1\2'),
  key_id = convert_from(decode(rpad(translate(header, '-_', '+/'), (length(header) + 3) / 4 * 4, '='), 'base64'), 'utf8')::jsonb ->> 'kid'
  from (select id, split_part(sealed, '.', 1) as header from credentials) h, projects p
 where credentials.id = h.id and credentials.project_id = p.id;

alter table credentials
  alter column kind drop default,
  alter column key_id set not null,
  add check ((target is null) = (kind = 'CALLBACK_SIGNING')),
  add check (base_url is null or kind = 'MODEL_API_KEY'),
  add check (previous_until is null or kind = 'CALLBACK_SIGNING'),
  add check (previous_sealed is null or previous_until is not null),
  drop constraint credentials_project_id_name_key,
  add constraint credentials_name unique nulls not distinct (project_id, name),
  -- So that it is never a question which of them is used.
  add constraint credentials_target unique nulls not distinct (project_id, kind, target);

-- What a rotation still has to seal anew.
create index credentials_key on credentials (key_id, id);
