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

-- One week's partition. What has landed in the default partition meanwhile moves along, for a range that has rows there
-- cannot be given to anybody else. Writers wait meanwhile: one that has chosen the default partition already would be
-- refused by it afterwards. Of a week that has not begun there are none.
--   p_week  the Monday, in UTC
create function ensure_build_partition(p_parent text, p_week timestamp) returns void language plpgsql
set lock_timeout = '2s' as $$
declare
  v_max_moved constant integer := 100000;
  v_default text := p_parent || '_default';
  v_name text := p_parent || '_' || to_char(p_week, 'IYYY"w"IW');
  v_from uuid := uuid_v7_floor(p_week at time zone 'UTC');
  v_to uuid := uuid_v7_floor((p_week + interval '1 week') at time zone 'UTC');
  v_lock text := case when p_week > now() at time zone 'UTC' then 'share update exclusive' else 'access exclusive' end;
  v_moved integer;
begin
  if to_regclass(v_name) is not null then
    return;
  end if;
  execute format('select count(*) from (select from %I where build_id >= %L and build_id < %L limit %s) found',
    v_default, v_from, v_to, v_max_moved + 1) into v_moved;
  if v_moved > v_max_moved then
    raise notice '% is left for later: % holds more than % rows of it', v_name, v_default, v_max_moved;
    return;
  end if;
  execute format('lock table only %I in %s mode', p_parent, v_lock);
  execute format('lock table %I in access exclusive mode', v_default);
  execute format('create table %I (like %I including all)', v_name, p_parent);
  execute format('with moved as (delete from %I where build_id >= %L and build_id < %L returning *)
    insert into %I select * from moved', v_default, v_from, v_to, v_name);
  execute format('alter table %I attach partition %I for values from (%L) to (%L)', p_parent, v_name, v_from, v_to);
end $$;

-- One partition a week for this week and `ahead` more. Safe to call at any time, from any number of processes. Returns
-- what could not be done: one partition that fails does not stop the others.
create function ensure_build_partitions(ahead integer) returns text[] language plpgsql as $$
declare
  v_week timestamp;
  v_parent text;
  v_problems text[] := '{}';
begin
  perform pg_advisory_xact_lock(hashtext('slipway:partitions'));
  for i in 0..ahead loop
    v_week := date_trunc('week', now() at time zone 'UTC') + i * interval '1 week';
    -- In the order in which a writer comes to them.
    foreach v_parent in array array['build_logs', 'build_events'] loop
      begin
        perform ensure_build_partition(v_parent, v_week);
      exception when others then
        v_problems := v_problems || format('%s from %s: %s', v_parent, v_week::date, sqlerrm);
      end;
    end loop;
  end loop;
  return v_problems;
end $$;

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
