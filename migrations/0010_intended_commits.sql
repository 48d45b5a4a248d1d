-- The commit of a build that is about to be pushed: when the worker that made it is gone, any other can push it. The row
-- goes when the commit was seen on the remote, or the build has failed.
create table intended_commits (
  build_id uuid primary key references build_audit (id) on delete cascade,
  sha text not null,
  -- A thin git pack: the commit's objects that its parents lack.
  pack bytea not null
);
-- Packs are compressed already.
alter table intended_commits alter column pack set storage external;
