-- What is ready to run waits here: builds and tasks, claimed fairly, within limits, by workers that have what they need.
--
-- Who adds or removes an item inserts rows and nothing else, so nobody waits for anybody. What must agree (counters,
-- turns, who is next) belongs to the claim alone: it holds the row of queue_state, first sorts in what has come and gone,
-- and then takes. What it looks at does not grow with what waits: a pool has a next project, a project's place in it has
-- a next lane, a lane has a next item, and each of them is the first row of an index.
--
-- Lock order: queue_state, then the rows of the queue, then project and build, which a claim takes only if they are
-- free. Whoever holds a project or a build may ask for any of these.

create table queue_state (
  single       boolean primary key default true check (single),
  paused_at    timestamptz(3),
  paused_by    text,
  max_running  integer check (max_running >= 0),
  running      integer not null default 0 check (running >= 0)
) with (fillfactor = 50);
insert into queue_state default values;

-- A project in the queue. Each item that it starts costs it 1 / weight of a turn in all pools that the same worker serves,
-- and the lowest turn goes first.
create table queue_owners (
  project_id   uuid primary key,
  weight       double precision not null default 1 check (weight > 0),
  max_running  integer check (max_running >= 0),
  paused_at    timestamptz(3),
  paused_by    text,
  -- Items with the same key that run at the same time, where queue_keys says nothing else.
  key_limit    integer not null default 1 check (key_limit > 0),
  running      integer not null default 0 check (running >= 0),
  waiting      integer not null default 0 check (waiting >= 0)
) with (fillfactor = 50);

-- Items that the same workers can take, and that the same limited credential holds back.
create table queue_pools (
  id     integer generated always as identity primary key,
  kind   text not null,
  -- Labels that a worker must have, sorted.
  needs  text[] not null,
  -- A credential with a limit; '' for none.
  gate   text not null,
  open   boolean not null default true,
  -- Its clock: the turn that was taken last, in items of a project of weight 1. Pools that no worker serves together have
  -- nothing to do with each other, and a slow one is not measured by a fast one.
  turn   double precision not null default 0,
  -- What its clock is behind those that it is compared with by a worker that serves them all.
  ahead  double precision not null default 0,
  unique (kind, needs, gate)
) with (fillfactor = 50);

-- The place of a project in a pool.
create table queue_turns (
  project_id  uuid not null,
  pool_id     integer not null references queue_pools,
  turn        double precision not null,
  -- It has an item here that may start now, as far as project and key say.
  ready       boolean not null default false,
  primary key (project_id, pool_id)
) with (fillfactor = 50);
create index queue_turns_next on queue_turns (pool_id, turn, project_id) where ready;

-- Items of one place that share a concurrency key; '' for none, which has no limit.
create table queue_lanes (
  id          bigint generated always as identity primary key,
  project_id  uuid not null,
  pool_id     integer not null,
  key         text not null,
  waiting     integer not null default 0 check (waiting >= 0),
  -- Of its next item.
  rank        timestamp,
  ready       boolean not null default false,
  unique (project_id, key, pool_id),
  check (ready = false or rank is not null)
) with (fillfactor = 50);
create index queue_lanes_next on queue_lanes (project_id, pool_id, rank, id) where ready;

-- Keys that have items running, or a limit of their own.
create table queue_keys (
  project_id   uuid not null,
  key          text not null check (key <> ''),
  max_running  integer check (max_running > 0),
  running      integer not null default 0 check (running >= 0),
  primary key (project_id, key)
) with (fillfactor = 50);

-- Credentials with a limit.
create table queue_gates (
  gate         text primary key check (gate <> ''),
  max_running  integer not null check (max_running >= 0),
  running      integer not null default 0 check (running >= 0)
) with (fillfactor = 50);

-- How many builds may run with this key at the same time; null for any number.
alter table credentials
  add column max_running integer check (max_running >= 0),
  add check (max_running is null or kind = 'MODEL_API_KEY');

create table queue_items (
  -- Of the build or the task.
  id          uuid primary key,
  -- `build`, or `task:` and its type.
  kind        text not null,
  project_id  uuid not null,
  key         text not null,
  -- In which the agent takes its key, and the credential that it will be; '' for none.
  variable    text not null,
  gate        text not null,
  needs       text[] not null,
  priority    integer not null,
  added_at    timestamptz not null,
  -- When it was added, a minute earlier for each point of priority: what waits long enough goes first, whatever comes.
  rank        timestamp generated always as (added_at at time zone 'UTC' - priority * interval '60 seconds') stored,
  ready_at    timestamptz not null,
  -- Null: not sorted in.
  lane_id     bigint,
  -- Null: it waits.
  claimed_at  timestamptz,
  worker_id   uuid,
  check (claimed_at is null or lane_id is not null)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
create index queue_items_new on queue_items (ready_at) where lane_id is null;
create index queue_items_next on queue_items (lane_id, rank, id) where claimed_at is null and lane_id is not null;
create index queue_items_project on queue_items (project_id, rank, id) where claimed_at is null;
create index queue_items_running on queue_items (project_id) where claimed_at is not null;

-- Sorted items that are gone, until the next claim has counted them.
create table queue_removals (
  seq         bigint generated always as identity primary key,
  lane_id     bigint not null,
  project_id  uuid not null,
  key         text not null,
  gate        text not null,
  ran         boolean not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);

-- The credential that a build of this project would use for this variable: chosen as in build-secrets.ts.
create function queue_gate_of(p_project uuid, p_variable text) returns text language sql stable as $$
  select coalesce((select c.id::text from credentials c
                    where p_variable <> '' and c.kind = 'MODEL_API_KEY' and c.target = p_variable
                      and (c.project_id = p_project or c.project_id is null)
                    order by c.project_id nulls last, c.name
                    limit 1), '')
$$;

-- False: it is in the queue already, and stays as it is.
create function queue_add(p_id uuid, p_kind text, p_project uuid, p_needs text[], p_key text, p_variable text,
                          p_priority integer, p_added_at timestamptz, p_ready_at timestamptz)
returns boolean language plpgsql as $$
begin
  insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
  values (p_id, p_kind, p_project, p_key, p_variable, queue_gate_of(p_project, p_variable),
          array(select distinct need from unnest(p_needs) need order by need), p_priority, p_added_at, p_ready_at)
  on conflict (id) do nothing;
  return found;
end $$;

-- It has ended, or is not wanted any more. True: one that a limit holds back may be able to start now.
create function queue_remove(p_id uuid) returns boolean language plpgsql as $$
declare
  v queue_items;
begin
  delete from queue_items where id = p_id returning * into v;
  if v.lane_id is null then
    return false;
  end if;
  insert into queue_removals (lane_id, project_id, key, gate, ran)
  values (v.lane_id, v.project_id, v.key, v.gate, v.claimed_at is not null);
  return v.claimed_at is not null and (
    v.key <> ''
    or exists (select from queue_gates where gate = v.gate)
    or exists (select from queue_owners where project_id = v.project_id and max_running is not null)
    or exists (select from queue_state where max_running is not null));
end $$;

-- In which variable the agent of a provider takes its key: written by every process that knows it.
create table provider_keys (
  provider  text primary key,
  variable  text not null
);

-- A build that waits, with all that its row says. False: it is in the queue already, or waits no more.
create function queue_add_build(p_build uuid) returns boolean language plpgsql as $$
declare
  v build_audit;
begin
  select * into v from build_audit where id = p_build and status = 'PENDING';
  return found and queue_add(
    v.id, 'build', v.project_id,
    array['provider:' || v.provider] || array(select jsonb_array_elements_text(coalesce(v.spec -> 'runsOn', '[]'))),
    coalesce(v.spec ->> 'concurrencyKey', ''),
    coalesce((select k.variable from provider_keys k where k.provider = v.provider), ''),
    v.priority, v.created_at, coalesce(v.resume_at, v.run_after, v.created_at));
end $$;

-- It waits again, from p_ready_at on, at the place that its age gives it. False: it is not in the queue.
create function queue_put_back(p_id uuid, p_ready_at timestamptz) returns boolean language plpgsql as $$
declare
  v queue_items;
begin
  select * into v from queue_items where id = p_id for update;
  if not found then
    return false;
  end if;
  perform queue_remove(p_id);
  return queue_add(v.id, v.kind, v.project_id, v.needs, v.key, v.variable, v.priority, v.added_at, p_ready_at);
end $$;

-- False: it does not wait.
create function queue_set_priority(p_id uuid, p_priority integer) returns boolean language plpgsql as $$
declare
  v queue_items;
begin
  select * into v from queue_items where id = p_id and claimed_at is null for update;
  if not found then
    return false;
  end if;
  perform queue_remove(p_id);
  return queue_add(v.id, v.kind, v.project_id, v.needs, v.key, v.variable, p_priority, v.added_at, v.ready_at);
end $$;

-- What may start, after something about these projects has changed. The caller holds queue_state, as in all below.
create function queue_refresh(p_projects uuid[]) returns void language sql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
  update queue_turns t
     set ready = now_ready.ready,
         -- What a project could not use while it was held back is not owed to it. It comes a little after the clock, so that
         -- this goes on: else those that wait would wait for as long as others come.
         turn = case when now_ready.ready and not t.ready
                     then greatest(t.turn, now_ready.turn + 0.0625) else t.turn end
    from (select t.project_id, t.pool_id, p.turn,
                 o.paused_at is null and (o.max_running is null or o.running < o.max_running)
                   and coalesce((select true from queue_lanes l
                                where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready limit 1), false) as ready
            from queue_turns t
            join queue_owners o on o.project_id = t.project_id
            join queue_pools p on p.id = t.pool_id
           where t.project_id = any(p_projects)) as now_ready
   where t.project_id = now_ready.project_id and t.pool_id = now_ready.pool_id and t.ready <> now_ready.ready
$$;

-- Has the key of these lanes room?
create function queue_refresh_lanes(p_projects uuid[], p_keys text[]) returns void language sql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
  update queue_lanes l
     set ready = l.rank is not null and (l.key = '' or coalesce(k.running, 0) < coalesce(k.max_running, o.key_limit))
    from (select distinct p.project_id, p.key from unnest(p_projects, p_keys) p (project_id, key)) as changed
    join queue_owners o on o.project_id = changed.project_id
    left join queue_keys k on k.project_id = changed.project_id and k.key = changed.key
   where l.project_id = changed.project_id and l.key = changed.key
     and l.ready <> (l.rank is not null and (l.key = '' or coalesce(k.running, 0) < coalesce(k.max_running, o.key_limit)))
$$;

create function queue_refresh_gates(p_gates text[]) returns void language sql as $$
  update queue_pools p
     set open = coalesce(g.running < g.max_running, true)
    from unnest(p_gates) as changed (gate) left join queue_gates g on g.gate = changed.gate
   where p.gate = changed.gate and p.gate <> '' and p.open <> coalesce(g.running < g.max_running, true)
$$;

-- Counts what is gone: at most p_limit items. Returns how many.
create function queue_count_removals(p_limit integer) returns integer language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_lanes bigint[];
  v_projects uuid[];
  v_keys text[];
  v_gates text[];
  v_ran boolean[];
begin
  with gone as (
    delete from queue_removals where seq in (select seq from queue_removals order by seq limit p_limit) returning *
  )
  select array_agg(lane_id), array_agg(project_id), array_agg(key), array_agg(gate), array_agg(ran)
    into v_lanes, v_projects, v_keys, v_gates, v_ran from gone;
  if v_lanes is null then
    return 0;
  end if;
  update queue_state set running = running - (select count(*) from unnest(v_ran) r where r);
  update queue_owners o set running = o.running - g.ran, waiting = o.waiting - g.waited
    from (select project_id, count(*) filter (where ran) as ran, count(*) filter (where not ran) as waited
            from unnest(v_projects, v_ran) u (project_id, ran) group by project_id) g
   where o.project_id = g.project_id;
  if exists (select from unnest(v_keys) key where key <> '') then
    update queue_keys k set running = k.running - g.ran
      from (select project_id, key, count(*) as ran
              from unnest(v_projects, v_keys, v_ran) u (project_id, key, ran) where ran and key <> '' group by 1, 2) g
     where k.project_id = g.project_id and k.key = g.key;
  end if;
  update queue_gates q set running = q.running - g.ran
    from (select gate, count(*) as ran from unnest(v_gates, v_ran) u (gate, ran) where ran and gate <> '' group by 1) g
   where q.gate = g.gate;
  update queue_lanes l
     set waiting = l.waiting - g.waited,
         rank = next.rank,
         ready = l.ready and next.rank is not null
    from (select lane_id, count(*) as waited from unnest(v_lanes, v_ran) u (lane_id, ran) where not ran group by 1) g
    left join lateral (
      select i.rank from queue_items i where i.lane_id = g.lane_id and i.claimed_at is null order by i.rank, i.id limit 1
    ) next on true
   where l.id = g.lane_id;
  perform queue_refresh_lanes(v_projects, v_keys);
  perform queue_refresh_gates(v_gates);
  perform queue_refresh(v_projects);
  return cardinality(v_lanes);
end $$;

-- Puts what has come, and what has come due, into its lanes: at most p_limit items. Returns how many.
create function queue_sort_in(p_limit integer) returns integer language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_ids uuid[];
  v_projects uuid[];
  v_keys text[];
begin
  select array_agg(id), array_agg(project_id), array_agg(key) into v_ids, v_projects, v_keys
    from (select id, project_id, key from queue_items
           where lane_id is null and ready_at <= clock_timestamp()
           order by ready_at limit p_limit for update skip locked) due;
  if v_ids is null then
    return 0;
  end if;
  insert into queue_owners (project_id) select distinct p from unnest(v_projects) p on conflict do nothing;
  insert into queue_pools (kind, needs, gate)
  select distinct i.kind, i.needs, coalesce(g.gate, '')
    from queue_items i left join queue_gates g on g.gate = i.gate
   where i.id = any(v_ids)
     and not exists (select from queue_pools p where p.kind = i.kind and p.needs = i.needs and p.gate = coalesce(g.gate, ''))
  on conflict do nothing;
  with placed as (
    select i.project_id, i.key, i.rank, p.id as pool_id
      from queue_items i
      left join queue_gates g on g.gate = i.gate
      join queue_pools p on p.kind = i.kind and p.needs = i.needs and p.gate = coalesce(g.gate, '')
     where i.id = any(v_ids)
  ), lanes as (
    insert into queue_lanes as l (project_id, pool_id, key, waiting, rank)
    select project_id, pool_id, key, count(*), min(rank) from placed group by project_id, pool_id, key
    on conflict (project_id, key, pool_id) do update
      set waiting = l.waiting + excluded.waiting, rank = least(l.rank, excluded.rank)
  ), turns as (
    insert into queue_turns (project_id, pool_id, turn)
    select distinct project_id, pool_id, 0 from placed on conflict do nothing
  )
  update queue_owners o set waiting = o.waiting + p.n
    from (select project_id, count(*) as n from placed group by project_id) p where o.project_id = p.project_id;
  -- By the indexes of pools and lanes, one at a time: a join of what was just made would compare all with all.
  update queue_items i
     set lane_id = (select l.id from queue_lanes l
                     where l.project_id = i.project_id and l.key = i.key and l.pool_id = (
                       select p.id from queue_pools p
                        where p.kind = i.kind and p.needs = i.needs
                          and p.gate = coalesce((select g.gate from queue_gates g where g.gate = i.gate), '')))
   where i.id = any(v_ids);
  perform queue_refresh_lanes(v_projects, v_keys);
  perform queue_refresh_gates(array(select distinct gate from queue_items where id = any(v_ids) and gate <> ''));
  perform queue_refresh(v_projects);
  return cardinality(v_ids);
end $$;

-- Where a worker may be given something.
create function queue_pools_of(p_kinds text[], p_labels text[]) returns integer[] language sql stable as $$
  select coalesce(array_agg(id), '{}') from queue_pools where kind = any(p_kinds) and needs <@ p_labels and open
$$;

-- This and queue_take are called by queue_claim only, under its settings.
-- Whose turn it is; nobody's if nothing may start. p_projects: none but these; null for all.
create function queue_next_turn(p_pools integer[], p_projects uuid[], p_busy uuid[],
                                out project_id uuid, out turn double precision)
language plpgsql stable as $$
begin
  if p_projects is null then
    select n.project_id, n.turn + p.ahead into project_id, turn
      from queue_pools p
      cross join lateral (
        select t.project_id, t.turn from queue_turns t
         where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
         order by t.turn, t.project_id limit 1) n
     where p.id = any(p_pools)
     order by n.turn + p.ahead, n.project_id limit 1;
  else
    select t.project_id, t.turn + p.ahead into project_id, turn
      from queue_turns t join queue_pools p on p.id = t.pool_id
     where t.project_id = any(p_projects) and t.pool_id = any(p_pools) and t.ready and t.project_id <> all(p_busy)
     order by t.turn + p.ahead, t.project_id limit 1;
  end if;
end $$;

-- Takes the next item of this project out of these pools; null when somebody holds each of them.
create function queue_take(p_project uuid, p_turn double precision, p_pools integer[], p_worker uuid)
returns queue_items language plpgsql as $$
declare
  v queue_items;
  v_lane bigint;
  v_passed bigint[] := '{}';
  v_owner queue_owners;
begin
  for i in 1..8 loop
    select l.id into v_lane
      from unnest(p_pools) pool
      cross join lateral (
        select l.id, l.rank from queue_lanes l
         where l.project_id = p_project and l.pool_id = pool and l.ready and l.id <> all(v_passed)
         order by l.rank, l.id limit 1) l
     order by l.rank, l.id limit 1;
    exit when not found;
    update queue_items set claimed_at = clock_timestamp(), worker_id = p_worker
     where id = (select id from queue_items where lane_id = v_lane and claimed_at is null
                  order by rank, id limit 1 for update skip locked)
    returning * into v;
    exit when found;
    v_passed := v_passed || v_lane;
  end loop;
  if v.id is null then
    return null;
  end if;
  update queue_lanes l
     set waiting = l.waiting - 1,
         rank = next.rank,
         ready = next.rank is not null
    from (select (select i.rank from queue_items i
                   where i.lane_id = v_lane and i.claimed_at is null order by i.rank, i.id limit 1) as rank) next
   where l.id = v_lane;
  if v.key <> '' then
    insert into queue_keys as k (project_id, key, running) values (v.project_id, v.key, 1)
    on conflict (project_id, key) do update set running = k.running + 1;
    perform queue_refresh_lanes(array[v.project_id], array[v.key]);
  end if;
  if v.gate <> '' then
    update queue_gates set running = running + 1 where gate = v.gate;
    perform queue_refresh_gates(array[v.gate]);
  end if;
  update queue_owners set running = running + 1, waiting = waiting - 1 where project_id = v.project_id
  returning * into v_owner;
  update queue_turns t
     set turn = case when t.pool_id = any(p_pools) then greatest(t.turn, p_turn - p.ahead + 1 / v_owner.weight)
                     else t.turn end,
         ready = t.ready and (v_owner.max_running is null or v_owner.running < v_owner.max_running)
                 and coalesce((select true from queue_lanes l
                              where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready limit 1), false)
    from queue_pools p
   where t.project_id = v.project_id and p.id = t.pool_id;
  return v;
end $$;

-- Up to p_max items of these kinds that now are this worker's. One statement of its own, together with what is written
-- about the items: until its transaction ends, nobody else claims.
create function queue_claim(p_worker uuid, p_kinds text[], p_labels text[], p_max integer, p_projects uuid[] default null)
returns setof queue_items language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  -- Items sorted in by one claim: a flood is spread over several.
  v_batch constant integer := 10000;
  v_state queue_state;
  v_pools integer[];
  v_next record;
  v_item queue_items;
  v_busy uuid[] := '{}';
  v_taken integer := 0;
  v_room integer;
  v_clock double precision;
  v_last double precision;
begin
  -- Most looks find nothing, and need no lock to see it.
  if not exists (select from queue_removals)
     and not exists (select from queue_items where lane_id is null and ready_at <= clock_timestamp())
     and (queue_next_turn(queue_pools_of(p_kinds, p_labels), p_projects, v_busy)).project_id is null then
    return;
  end if;
  perform 1 from queue_state for update;
  if exists (select from queue_removals) then
    perform queue_count_removals(v_batch);
  end if;
  if exists (select from queue_items where lane_id is null and ready_at <= clock_timestamp()) then
    perform queue_sort_in(v_batch);
  end if;
  select * into v_state from queue_state;
  v_room := least(p_max, v_state.max_running - v_state.running);
  if v_state.paused_at is not null or v_room <= 0 then
    return;
  end if;
  v_pools := queue_pools_of(p_kinds, p_labels);
  -- Where this worker serves, one clock counts: a pool that nobody has served in a while is owed nothing by the others.
  select max(turn + ahead) into v_clock from queue_pools where id = any(v_pools);
  if cardinality(v_pools) > 1 then
    update queue_pools set ahead = v_clock - turn where id = any(v_pools) and turn + ahead < v_clock;
  end if;
  v_last := v_clock;
  while v_taken < v_room loop
    v_next := queue_next_turn(v_pools, p_projects, v_busy);
    exit when v_next.project_id is null or cardinality(v_busy) > 64;
    v_item := null;
    -- A project that somebody holds is passed over, and keeps its turn.
    perform 1 from projects where id = v_next.project_id for no key update skip locked;
    if found then
      v_item := queue_take(v_next.project_id, greatest(v_next.turn, v_clock), v_pools, p_worker);
    end if;
    if v_item.id is null then
      v_busy := v_busy || v_next.project_id;
    else
      v_last := greatest(v_last, v_next.turn);
      v_taken := v_taken + 1;
      if v_item.gate <> '' then
        v_pools := queue_pools_of(p_kinds, p_labels);
      end if;
      return next v_item;
    end if;
  end loop;
  if v_taken > 0 then
    update queue_state set running = running + v_taken;
    update queue_pools set turn = v_last - ahead where id = any(v_pools) and turn < v_last - ahead;
  end if;
end $$;

-- Builds for this worker: item, row, attempt and first events change hands in this one statement. A build whose key is at
-- its provider's rate limit comes back PENDING: it waits until resume_at with the others that use the key.
--   p_started, p_held  events as append_build_events takes them; resumeAt is added to the latter
create function claim_builds(p_worker uuid, p_labels text[], p_max integer, p_projects uuid[], p_lease_seconds integer,
                             p_stagger_seconds integer, p_started jsonb, p_held jsonb)
returns setof build_audit language plpgsql as $$
declare
  v_item queue_items;
  v_build build_audit;
  v_resume timestamptz(3);
begin
  for v_item in select * from queue_claim(p_worker, array['build'], p_labels, p_max, p_projects) loop
    select * into v_build from build_audit where id = v_item.id and status = 'PENDING' for no key update skip locked;
    if not found then
      -- Somebody is at it, or it is a build no more.
      if exists (select from build_audit where id = v_item.id and status = 'PENDING') then
        perform queue_put_back(v_item.id, clock_timestamp());
      else
        perform queue_remove(v_item.id);
      end if;
      continue;
    end if;
    -- What has something to go on with on a worker is not held: a run, an outcome or a push.
    select pause.until + make_interval(secs => random() * p_stagger_seconds) into v_resume
      from quota_pauses pause
     where pause.provider = v_build.provider and pause.until > now() and v_build.cancel_requested_at is null
       and (v_build.attempt_no = 0 or v_build.waiting_for = 'QUOTA')
       and pause.credential = coalesce(nullif(queue_gate_of(v_build.project_id, coalesce(pause.variable, '')), ''), 'worker');
    if found then
      update build_audit set waiting_for = 'QUOTA', resume_at = v_resume where id = v_build.id;
      perform append_build_events(v_build.id, null, jsonb_set(p_held, '{0,data,resumeAt}', to_jsonb(v_resume)));
      perform queue_put_back(v_build.id, v_resume);
    else
      update build_audit
         set status = 'RUNNING', phase = 'PREPARING', waiting_for = null, resume_at = null, attempt_no = attempt_no + 1,
             ledger_no = 0, worker_id = p_worker, lease_until = now() + make_interval(secs => p_lease_seconds),
             started_at = coalesce(started_at, clock_timestamp())
       where id = v_build.id returning * into v_build;
      insert into build_attempts (build_id, attempt_no, worker_id) values (v_build.id, v_build.attempt_no, p_worker);
      perform append_build_events(v_build.id, v_build.attempt_no, p_started);
    end if;
    select * into v_build from build_audit where id = v_build.id;
    return next v_build;
  end loop;
end $$;

-- For whoever changes limits: nobody claims until this transaction ends, and what is gone has been counted.
create function queue_hold() returns void language plpgsql as $$
begin
  perform 1 from queue_state for update;
  -- Others may go on removing: what is left after so many is counted by the next claims.
  for i in 1..100 loop
    exit when queue_count_removals(10000) = 0;
  end loop;
end $$;

-- p_max: items that run at the same time in all; null for no limit.
create function queue_limit(p_max integer) returns void language plpgsql as $$
begin
  perform queue_hold();
  update queue_state set max_running = p_max;
end $$;

-- p_project null: everything.
create function queue_pause(p_project uuid, p_by text) returns void language plpgsql as $$
begin
  perform queue_hold();
  if p_project is null then
    update queue_state set paused_at = coalesce(paused_at, now()), paused_by = coalesce(paused_by, p_by);
  else
    insert into queue_owners as o (project_id, paused_at, paused_by) values (p_project, now(), p_by)
    on conflict (project_id) do update
      set paused_at = coalesce(o.paused_at, now()), paused_by = coalesce(o.paused_by, p_by);
    perform queue_refresh(array[p_project]);
  end if;
end $$;

create function queue_resume(p_project uuid) returns void language plpgsql as $$
begin
  perform queue_hold();
  if p_project is null then
    update queue_state set paused_at = null, paused_by = null;
  else
    update queue_owners set paused_at = null, paused_by = null where project_id = p_project;
    perform queue_refresh(array[p_project]);
  end if;
end $$;

create function queue_configure(p_project uuid, p_weight double precision, p_max integer, p_key_limit integer)
returns void language plpgsql as $$
begin
  perform queue_hold();
  insert into queue_owners (project_id, weight, max_running, key_limit)
  values (p_project, p_weight, p_max, p_key_limit)
  on conflict (project_id) do update set weight = p_weight, max_running = p_max, key_limit = p_key_limit;
  perform queue_refresh_lanes(array_agg(project_id), array_agg(key)) from queue_lanes where project_id = p_project and key <> '';
  perform queue_refresh(array[p_project]);
end $$;

-- p_max null: as the project says.
create function queue_limit_key(p_project uuid, p_key text, p_max integer) returns void language plpgsql as $$
begin
  perform queue_hold();
  insert into queue_owners (project_id) values (p_project) on conflict do nothing;
  insert into queue_keys (project_id, key, max_running) values (p_project, p_key, p_max)
  on conflict (project_id, key) do update set max_running = p_max;
  delete from queue_keys where project_id = p_project and key = p_key and max_running is null and running = 0;
  perform queue_refresh_lanes(array[p_project], array[p_key]);
  perform queue_refresh(array[p_project]);
end $$;

-- Waiting items are sorted in again by the next claim, into the pools that they belong to now.
create function queue_resort(p_ids uuid[]) returns void language plpgsql as $$
begin
  -- Locked first: one that somebody removes at this moment is counted by him.
  with waiting as (
    select id, lane_id, project_id, key, gate from queue_items
     where id = any(p_ids) and claimed_at is null order by id for update
  ), gone as (
    insert into queue_removals (lane_id, project_id, key, gate, ran)
    select lane_id, project_id, key, gate, false from waiting where lane_id is not null
  )
  update queue_items i set lane_id = null, gate = queue_gate_of(i.project_id, i.variable)
    from waiting w where i.id = w.id;
  perform queue_hold();
end $$;

-- p_max null: no limit.
create function queue_limit_gate(p_gate text, p_max integer) returns void language plpgsql as $$
begin
  perform queue_hold();
  if p_max is null then
    delete from queue_gates where gate = p_gate;
  else
    insert into queue_gates (gate, max_running, running)
    -- With those that have ended since: they have not been counted yet.
    values (p_gate, p_max, (select count(*) from queue_items where gate = p_gate and claimed_at is not null)
                           + (select count(*) from queue_removals where gate = p_gate and ran))
    on conflict (gate) do update set max_running = p_max;
    perform queue_resort(array(select i.id from queue_items i
      where i.gate = p_gate and i.claimed_at is null
        and not exists (select from queue_lanes l join queue_pools p on p.id = l.pool_id
                         where l.id = i.lane_id and p.gate = p_gate)));
  end if;
  perform queue_refresh_gates(array[p_gate]);
end $$;

-- After the keys for this variable have changed: each waiting build belongs to the one that it would use now.
create function queue_regate(p_variable text) returns void language plpgsql as $$
begin
  perform queue_hold();
  perform queue_resort(array(select id from queue_items
    where variable = p_variable and claimed_at is null and gate <> queue_gate_of(project_id, variable)));
end $$;

-- Removes what nothing is in any more.
create function queue_tidy() returns void language plpgsql as $$
begin
  perform queue_hold();
  delete from queue_lanes l
   where l.waiting = 0 and not exists (select from queue_items i where i.lane_id = l.id and i.claimed_at is null);
  delete from queue_keys where running = 0 and max_running is null;
  delete from queue_turns t
   where not t.ready and not exists (select from queue_lanes l where l.project_id = t.project_id and l.pool_id = t.pool_id);
  delete from queue_pools p
   where not exists (select from queue_turns t where t.pool_id = p.id)
     and not exists (select from queue_lanes l where l.pool_id = p.id);
end $$;

-- What does not agree: one sentence each; nothing when all is well. Looks at every item.
create function queue_check() returns setof text language plpgsql as $$
begin
  perform queue_hold();
  return query
  select format('state counts %s running, there are %s', s.running, n.n)
    from queue_state s, (select count(*) as n from queue_items where claimed_at is not null) n where s.running <> n.n
  union all
  select format('project %s counts %s running and %s waiting, there are %s and %s',
                o.project_id, o.running, o.waiting, coalesce(n.ran, 0), coalesce(n.waited, 0))
    from queue_owners o left join (
      select project_id, count(*) filter (where claimed_at is not null) as ran,
             count(*) filter (where claimed_at is null and lane_id is not null) as waited
        from queue_items group by project_id) n on n.project_id = o.project_id
   where o.running <> coalesce(n.ran, 0) or o.waiting <> coalesce(n.waited, 0)
  union all
  select format('key %s counts %s running, there are %s', k.key, k.running, n.n)
    from queue_keys k, lateral (
      select count(*) as n from queue_items i
       where i.project_id = k.project_id and i.key = k.key and i.claimed_at is not null) n where k.running <> n.n
  union all
  select format('credential %s counts %s running, there are %s', g.gate, g.running, n.n)
    from queue_gates g, lateral (
      select count(*) as n from queue_items i where i.gate = g.gate and i.claimed_at is not null) n where g.running <> n.n
  union all
  select format('lane %s counts %s waiting from %s, there are %s from %s', l.id, l.waiting, l.rank, n.n, n.rank)
    from queue_lanes l, lateral (
      select count(*) as n, min(i.rank) as rank from queue_items i where i.lane_id = l.id and i.claimed_at is null) n
   where l.waiting <> n.n or l.rank is distinct from n.rank
  union all
  select format('lane %s is ready: %s', l.id, l.ready)
    from queue_lanes l join queue_owners o on o.project_id = l.project_id
    left join queue_keys k on k.project_id = l.project_id and k.key = l.key
   where l.ready <> (l.rank is not null and (l.key = '' or coalesce(k.running, 0) < coalesce(k.max_running, o.key_limit)))
  union all
  select format('project %s is ready in pool %s: %s', t.project_id, t.pool_id, t.ready)
    from queue_turns t join queue_owners o on o.project_id = t.project_id
   where t.ready <> (o.paused_at is null and (o.max_running is null or o.running < o.max_running)
                     and exists (select from queue_lanes l
                                  where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready))
  union all
  select format('pool %s is open: %s', p.id, p.open)
    from queue_pools p left join queue_gates g on g.gate = p.gate
   where p.open <> (p.gate = '' or coalesce(g.running < g.max_running, true))
  union all
  select format('item %s waits in a lane that is gone', i.id) from queue_items i
   where i.lane_id is not null and i.claimed_at is null and not exists (select from queue_lanes l where l.id = i.lane_id);
end $$;

-- Builds of the version before: those that run are counted, those that wait are queued.
insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
select id, 'build', project_id, '', '', '', array['provider:' || provider], priority, created_at, created_at
  from build_audit where status = 'RUNNING';
do $$
begin
  while queue_sort_in(10000) > 0 loop
  end loop;
end $$;
update queue_items i set claimed_at = b.started_at, worker_id = b.worker_id from build_audit b where b.id = i.id;
update queue_lanes set waiting = 0, rank = null, ready = false;
update queue_turns set ready = false;
update queue_owners set running = waiting, waiting = 0;
update queue_state set running = (select count(*) from queue_items);
select count(queue_add_build(id)) from build_audit where status = 'PENDING';
