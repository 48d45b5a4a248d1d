-- What people tell a running agent, and what it asks them.

create table build_messages (
  id               uuid primary key,
  build_id         uuid not null references build_audit,
  mode             text not null check (mode in ('QUEUE', 'STEER', 'INTERRUPT')),
  text             text not null,
  state            text not null default 'PENDING' check (state in ('PENDING', 'DELIVERED', 'UNDELIVERED')),
  -- How the agent was given it: later than it was meant where it does not listen in the middle of a turn.
  delivered_as     text check (delivered_as in ('QUEUE', 'STEER', 'INTERRUPT')),
  sent_by          text not null,
  idempotency_key  text,
  created_at       timestamptz(3) not null default now(),
  delivered_at     timestamptz(3),
  unique (build_id, idempotency_key),
  check ((state = 'DELIVERED') = (delivered_at is not null)),
  check ((state = 'DELIVERED') = (delivered_as is not null))
);

create table build_questions (
  id               uuid primary key,
  build_id         uuid not null references build_audit,
  -- As the agent names it; it may use the name again once the question is closed.
  request_id       text not null,
  -- Of the runs of the agent in this build: a name means nothing to another run.
  run_no           integer not null,
  -- AgentRequest.
  request          jsonb not null,
  state            text not null default 'OPEN'
                     check (state in ('OPEN', 'ANSWERED', 'APPROVED', 'REJECTED', 'EXPIRED', 'WITHDRAWN')),
  -- The word that the agent is given; null while it is open, and when it is withdrawn.
  word             jsonb,
  asked_at         timestamptz(3) not null default now(),
  expires_at       timestamptz(3) not null,
  closed_at        timestamptz(3),
  closed_by        text,
  check ((state = 'OPEN') = (closed_at is null)),
  check (state not in ('OPEN', 'WITHDRAWN') or word is null)
);
create index build_questions_build on build_questions (build_id);
create unique index build_questions_open on build_questions (build_id, request_id) where state = 'OPEN';

-- Counts what the worker of a running build is to look at: messages, and answers.
alter table build_audit add column talk_no integer not null default 0;
