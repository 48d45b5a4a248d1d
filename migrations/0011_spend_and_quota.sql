-- What projects spend in a day, and builds that wait until their provider takes requests again.

-- Counted in the transaction that publishes what an agent has used, so it is true while builds run. A day is one of UTC.
create table project_spend (
  project_id       uuid not null references projects,
  day              date not null,
  cost_usd         numeric not null default 0,
  -- Input and output.
  tokens           bigint not null default 0,
  -- Those of them of which nobody knows what they cost.
  unpriced_tokens  bigint not null default 0,
  primary key (project_id, day)
-- Updated with every report of usage: room on its page keeps those updates heap-only.
) with (fillfactor = 50);

alter table build_audit
  add column resume_at    timestamptz(3),
  -- How often the build was put back because of a rate limit.
  add column quota_waits  integer not null default 0,
  add check ((resume_at is not null) = (waiting_for is not distinct from 'QUOTA'));

-- A key that is at its rate limit: builds that would begin with it wait together.
create table quota_pauses (
  provider    text not null,
  -- The credential's id; `worker` for the key that workers have themselves.
  credential  text not null,
  -- In which the agent takes its key; null for an agent that takes none.
  variable    text,
  until       timestamptz(3) not null,
  primary key (provider, credential)
);
