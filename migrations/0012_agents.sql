-- What the agents of each worker are, and what they say that nobody here knows.

-- [{ name, capabilities, keyed, available, version, reason, remedy }]: every agent that the worker knows, as it was
-- probed last. `providers` is what of them can be run.
alter table workers add column agents jsonb not null default '[]';

-- Kinds of lines that an adapter does not know, by the agent's version: a release that changes its protocol shows here.
create table agent_drift (
  agent         text not null,
  version       text not null,
  name          text not null,
  count         bigint not null check (count > 0),
  first_seen_at timestamptz(3) not null default now(),
  last_seen_at  timestamptz(3) not null default now(),
  primary key (agent, version, name)
);
