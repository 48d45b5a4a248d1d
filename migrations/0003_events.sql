-- What happened to a build (events), what its programs printed (logs), and what a project's followers see.

-- Build ids are UUIDv7: their order is the order of creation. Partitioning by the id therefore partitions by
-- time, keeps all rows of a build together, and lets (build_id, seq) stay a real primary key.
create table build_events (
  build_id    uuid not null,
  seq         bigint not null,
  attempt_no  integer not null,
  type        text not null,
  at          timestamptz(3) not null,
  data        jsonb not null,
  primary key (build_id, seq)
) partition by range (build_id);

create table build_logs (
  build_id    uuid not null,
  first_line  bigint not null,
  line_count  integer not null,
  attempt_no  integer not null,
  at          timestamptz(3) not null,
  -- zstd of a JSON array [stream, milliseconds since `at`, text] per line; Postgres must not compress it again.
  content     bytea not null,
  primary key (build_id, first_line)
) partition by range (build_id);

alter table build_logs alter column content set storage external;

-- A write never waits for maintenance: what no partition covers lands here.
create table build_events_default partition of build_events default;
create table build_logs_default partition of build_logs default;

create function uuid_v7_floor(at timestamptz) returns uuid language sql immutable as $$
  select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- One partition a week for this week and `ahead` more. Safe to call at any time, from any number of processes.
create function ensure_build_partitions(ahead integer) returns void language plpgsql as $$
declare
  week timestamptz;
  parent text;
begin
  perform pg_advisory_xact_lock(hashtext('slipway:partitions'));
  for i in 0..ahead loop
    week := (date_trunc('week', now() at time zone 'UTC') + i * interval '1 week') at time zone 'UTC';
    foreach parent in array array['build_events', 'build_logs'] loop
      if to_regclass(parent || '_' || to_char(week at time zone 'UTC', 'IYYY"w"IW')) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)',
          parent || '_' || to_char(week at time zone 'UTC', 'IYYY"w"IW'), parent,
          uuid_v7_floor(week), uuid_v7_floor(week + interval '1 week'));
      end if;
    end loop;
  end loop;
end $$;

select ensure_build_partitions(4);

-- The milestones of a project's builds in one order; the content stays in build_events.
create table project_events (
  project_id  uuid not null,
  seq         bigint not null,
  build_id    uuid not null,
  build_seq   bigint not null,
  type        text not null,
  at          timestamptz(3) not null,
  primary key (project_id, seq)
);

-- Appends events to a build and its milestones to the project's activity; returns the build's new last_seq, or
-- null when the attempt is no longer the build's current one (nothing is written then).
--   p_attempt  the writer's attempt; null for writers that are no worker (start, cancel, rescue)
--   p_events   [{ type, data, milestone }], numbered in this order
-- Lock order, here and everywhere: build row, then project row.
create function append_build_events(p_build uuid, p_attempt integer, p_events jsonb) returns bigint
language plpgsql as $$
declare
  v_count integer := jsonb_array_length(p_events);
  v_milestones integer := (select count(*) from jsonb_array_elements(p_events) e where (e ->> 'milestone')::boolean);
  v_project uuid;
  v_attempt integer;
  v_seq bigint;
  v_activity bigint;
begin
  update build_audit set last_seq = last_seq + v_count
   where id = p_build and (p_attempt is null or (attempt_no = p_attempt and status = 'RUNNING'))
   returning project_id, attempt_no, last_seq into v_project, v_attempt, v_seq;
  if not found then
    return null;
  end if;
  insert into build_events (build_id, seq, attempt_no, type, at, data)
  select p_build, v_seq - v_count + e.n, v_attempt, e.event ->> 'type', clock_timestamp(), e.event -> 'data'
    from jsonb_array_elements(p_events) with ordinality e (event, n);
  if v_milestones > 0 then
    update projects set activity_seq = activity_seq + v_milestones where id = v_project
      returning activity_seq into v_activity;
    insert into project_events (project_id, seq, build_id, build_seq, type, at)
    select v_project, v_activity - v_milestones + row_number() over (order by e.n), p_build, v_seq - v_count + e.n,
           e.event ->> 'type', clock_timestamp()
      from jsonb_array_elements(p_events) with ordinality e (event, n)
     where (e.event ->> 'milestone')::boolean;
  end if;
  return v_seq;
end $$;
