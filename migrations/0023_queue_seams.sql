-- What a claim costs no longer depends on how many credentials have limits; who asks again is given what it was given; and
-- whoever is given less than there is, because somebody held it, is told so.

-- What the same workers can take: pools of one shape differ in the credential that holds them back.
create table queue_shapes (
  id     integer generated always as identity primary key,
  kind   text not null,
  -- Labels that a worker must have, sorted.
  needs  text[] not null,
  -- Its clock: the turn that was taken last, in items of a project of weight 1. Shapes that no worker serves together have
  -- nothing to do with each other, and a slow one is not measured by a fast one.
  turn   double precision not null default 0,
  -- What its clock is behind those that it is compared with by a worker that serves them all.
  ahead  double precision not null default 0,
  unique (kind, needs)
) with (fillfactor = 50);

alter table queue_pools
  add column shape_id     integer references queue_shapes,
  -- The shape's clock when the credential became full; null while the pool is open. What it missed is not owed to it.
  add column closed_turn  double precision;

insert into queue_shapes (kind, needs, turn) select kind, needs, max(turn + ahead) from queue_pools group by kind, needs;
update queue_pools p
   set shape_id = s.id,
       closed_turn = case when not p.open then p.turn + p.ahead end,
       ahead = case when p.open then s.turn - p.turn else p.ahead end
  from queue_shapes s where s.kind = p.kind and s.needs = p.needs;

alter table queue_pools
  drop column turn,
  alter column shape_id set not null,
  add check (open = (closed_turn is null));
create index queue_pools_gate on queue_pools (gate) where gate <> '';
create unique index queue_pools_free on queue_pools (shape_id) where gate = '';

-- Of each pool with a credential: its first turn by the shape's clock, and whose that is; null when it is closed, or nothing of
-- it may start. A claim looks at the first of a shape, however many there are. Apart from the pools, as it changes with each
-- item and they hardly ever.
create table queue_heads (
  pool_id     integer primary key references queue_pools on delete cascade,
  shape_id    integer not null,
  turn        double precision,
  project_id  uuid,
  check ((turn is null) = (project_id is null))
) with (fillfactor = 50);
create index queue_heads_next on queue_heads (shape_id, turn, project_id) where turn is not null;

drop function queue_pools_of(text[], text[]);
drop function queue_next_turn(integer[], uuid[], uuid[]);
drop function queue_take(uuid, double precision, integer[], uuid);
drop function claim_tasks(text[], text[], text[], uuid[]);

-- Where these pools of credentials stand among those of their shapes.
create function queue_refresh_heads(p_pools integer[]) returns void language sql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
  insert into queue_heads as h (pool_id, shape_id, turn, project_id)
  select p.id, p.shape_id, n.turn + p.ahead, n.project_id
    from queue_pools p
    left join lateral (
      select t.turn, t.project_id from queue_turns t
       where t.pool_id = p.id and t.ready and p.open order by t.turn, t.project_id limit 1) n on true
   where p.id = any(p_pools) and p.gate <> ''
  on conflict (pool_id) do update set turn = excluded.turn, project_id = excluded.project_id
    where h.turn is distinct from excluded.turn or h.project_id is distinct from excluded.project_id
$$;

-- What may start, after something about these projects has changed. The caller holds queue_state, as in all below.
create or replace function queue_refresh(p_projects uuid[]) returns void language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_pools integer[];
begin
  with refreshed as (
    update queue_turns t
       set ready = now_ready.ready,
           -- What a project could not use while it was held back is not owed to it. It comes a little after the clock, so that
           -- this goes on: else those that wait would wait for as long as others come.
           turn = case when now_ready.ready and not t.ready
                       then greatest(t.turn, now_ready.turn + 0.0625) else t.turn end
      from (select t.project_id, t.pool_id, p.gate, coalesce(p.closed_turn, s.turn) - p.ahead as turn,
                   o.paused_at is null and (o.max_running is null or o.running < o.max_running)
                     and coalesce((select true from queue_lanes l
                                  where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready limit 1), false) as ready
              from queue_turns t
              join queue_owners o on o.project_id = t.project_id
              join queue_pools p on p.id = t.pool_id
              join queue_shapes s on s.id = p.shape_id
             where t.project_id = any(p_projects)) as now_ready
     where t.project_id = now_ready.project_id and t.pool_id = now_ready.pool_id and t.ready <> now_ready.ready
    returning t.pool_id, now_ready.gate
  )
  select array_agg(distinct pool_id) filter (where gate <> '') into v_pools from refreshed;
  if v_pools is not null then
    perform queue_refresh_heads(v_pools);
  end if;
end $$;

-- Have these credentials room?
create or replace function queue_refresh_gates(p_gates text[]) returns void language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_pools integer[];
begin
  with refreshed as (
    update queue_pools p
       set open = now_open.open,
           closed_turn = case when not now_open.open then s.turn end,
           ahead = p.ahead + coalesce(s.turn - p.closed_turn, 0)
      from (select distinct changed.gate, coalesce(g.running < g.max_running, true) as open
              from unnest(p_gates) as changed (gate) left join queue_gates g on g.gate = changed.gate
             where changed.gate <> '') now_open, queue_shapes s
     where p.gate = now_open.gate and p.gate <> '' and p.open <> now_open.open and s.id = p.shape_id
    returning p.id
  )
  select array_agg(id) into v_pools from refreshed;
  if v_pools is not null then
    perform queue_refresh_heads(v_pools);
  end if;
end $$;

-- Puts what has come, and what has come due, into its lanes: at most p_limit items. Returns how many.
create or replace function queue_sort_in(p_limit integer) returns integer language plpgsql
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
  insert into queue_shapes (kind, needs)
  select distinct i.kind, i.needs from queue_items i
   where i.id = any(v_ids) and not exists (select from queue_shapes s where s.kind = i.kind and s.needs = i.needs)
  on conflict do nothing;
  insert into queue_pools (shape_id, kind, needs, gate)
  select distinct s.id, i.kind, i.needs, coalesce(g.gate, '')
    from queue_items i
    join queue_shapes s on s.kind = i.kind and s.needs = i.needs
    left join queue_gates g on g.gate = i.gate
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

-- What a worker may be given.
create function queue_shapes_of(p_kinds text[], p_labels text[]) returns integer[] language sql stable as $$
  select coalesce(array_agg(id), '{}') from queue_shapes where kind = any(p_kinds) and needs <@ p_labels
$$;

-- This and queue_take are called by queue_claim only, under its settings.
-- Whose turn it is; nobody's if nothing may start. p_projects: none but these; null for all. p_busy: none of these.
create function queue_next_turn(p_shapes integer[], p_projects uuid[], p_busy uuid[],
                                out project_id uuid, out turn double precision)
language plpgsql stable as $$
begin
  if p_projects is null then
    select n.project_id, n.turn + s.ahead into project_id, turn
      from queue_shapes s
      cross join lateral (
        (select t.project_id, t.turn + p.ahead as turn
           from queue_pools p cross join lateral (
             select t.project_id, t.turn from queue_turns t
              where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
              order by t.turn, t.project_id limit 1) t
          where p.shape_id = s.id and p.gate = '')
        union all
        (select h.project_id, h.turn from queue_heads h
          where h.shape_id = s.id and h.turn is not null and h.project_id <> all(p_busy)
          order by h.turn, h.project_id limit 1)
        union all
        -- Behind those that are busy.
        (select t.project_id, t.turn + p.ahead
           from queue_turns first
           join queue_heads h on h.pool_id = first.pool_id and h.shape_id = s.id and h.project_id = first.project_id
           join queue_pools p on p.id = h.pool_id
          cross join lateral (
            select t.project_id, t.turn from queue_turns t
             where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
             order by t.turn, t.project_id limit 1) t
          where first.project_id = any(p_busy))
      ) n
     where s.id = any(p_shapes)
     order by n.turn + s.ahead, n.project_id limit 1;
  else
    select t.project_id, t.turn + p.ahead + s.ahead into project_id, turn
      from queue_turns t
      join queue_pools p on p.id = t.pool_id
      join queue_shapes s on s.id = p.shape_id
     where t.project_id = any(p_projects) and p.shape_id = any(p_shapes) and p.open and t.ready
       and t.project_id <> all(p_busy)
     order by t.turn + p.ahead + s.ahead, t.project_id limit 1;
  end if;
end $$;

-- Takes the next item of this project out of these shapes; null when somebody holds each of them.
create function queue_take(p_project uuid, p_turn double precision, p_shapes integer[], p_worker uuid)
returns queue_items language plpgsql as $$
declare
  v queue_items;
  v_lane bigint;
  v_passed bigint[] := '{}';
  v_owner queue_owners;
  -- Pools of credentials in which its project is.
  v_gated integer[];
  v_is_full boolean;
begin
  for i in 1..8 loop
    select l.id into v_lane
      from queue_turns t
      join queue_pools p on p.id = t.pool_id and p.open and p.shape_id = any(p_shapes)
      cross join lateral (
        select l.id, l.rank from queue_lanes l
         where l.project_id = p_project and l.pool_id = t.pool_id and l.ready and l.id <> all(v_passed)
         order by l.rank, l.id limit 1) l
     where t.project_id = p_project and t.ready
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
  update queue_owners set running = running + 1, waiting = waiting - 1 where project_id = v.project_id
  returning * into v_owner;
  with moved as (
    update queue_turns t
       set turn = case when p.open and p.shape_id = any(p_shapes)
                       then greatest(t.turn, p_turn - p.ahead - s.ahead + 1 / v_owner.weight) else t.turn end,
           ready = t.ready and (v_owner.max_running is null or v_owner.running < v_owner.max_running)
                   and coalesce((select true from queue_lanes l
                                where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready limit 1), false)
      from queue_pools p join queue_shapes s on s.id = p.shape_id
     where t.project_id = v.project_id and p.id = t.pool_id
    returning t.pool_id, p.gate
  )
  select array_agg(pool_id) filter (where gate <> '') into v_gated from moved;
  if v_gated is not null then
    perform queue_refresh_heads(v_gated);
  end if;
  if v.gate <> '' then
    update queue_gates set running = running + 1 where gate = v.gate returning running >= max_running into v_is_full;
    if v_is_full then
      perform queue_refresh_gates(array[v.gate]);
    end if;
  end if;
  return v;
end $$;

-- Up to p_max items of these kinds that now are this worker's; nothing for one that takes no work. One statement of its own,
-- together with what is written about the items: until its transaction ends, nobody else claims. A last row of nulls says
-- that it has passed over something that somebody held: the worker asks again.
create or replace function queue_claim(p_worker uuid, p_kinds text[], p_labels text[], p_max integer, p_projects uuid[] default null)
returns setof queue_items language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  -- Items sorted in by one claim: a flood is spread over several.
  v_batch constant integer := 10000;
  v_state queue_state;
  v_shapes integer[];
  v_next record;
  v_item queue_items;
  v_busy uuid[] := '{}';
  -- Projects that this claim holds.
  v_held uuid[] := '{}';
  v_takes_work boolean;
  v_is_less boolean := false;
  v_taken integer := 0;
  v_room integer;
  v_clock double precision;
  v_last double precision;
begin
  -- Most looks find nothing, and need no lock to see it.
  if not exists (select from queue_removals)
     and not exists (select from queue_items where lane_id is null and ready_at <= clock_timestamp())
     and (queue_next_turn(queue_shapes_of(p_kinds, p_labels), p_projects, v_busy)).project_id is null then
    return;
  end if;
  -- Who cordons, drains or evicts the worker waits for its claims, and is waited for. Not under the row of queue_state: all
  -- others would wait, too.
  select coalesce(cordoned_at, draining_at, evicted_at) is null into v_takes_work
    from workers where id = p_worker for key share;
  if not v_takes_work then
    return;
  end if;
  perform 1 from queue_state for update;
  if exists (select from queue_removals) then
    perform queue_count_removals(v_batch);
  end if;
  if exists (select from queue_items where lane_id is null and ready_at <= clock_timestamp()) then
    perform queue_sort_in(v_batch);
    -- More than a batch, or held by somebody.
    v_is_less := exists (select from queue_items where lane_id is null and ready_at <= clock_timestamp());
  end if;
  select * into v_state from queue_state;
  v_room := least(p_max, v_state.max_running - v_state.running);
  if v_state.paused_at is not null or v_room <= 0 then
    return;
  end if;
  v_shapes := queue_shapes_of(p_kinds, p_labels);
  -- Where this worker serves, one clock counts: what nobody has served in a while is owed nothing by the others.
  select max(turn + ahead) into v_clock from queue_shapes where id = any(v_shapes);
  if cardinality(v_shapes) > 1 then
    update queue_shapes set ahead = v_clock - turn where id = any(v_shapes) and turn + ahead < v_clock;
  end if;
  v_last := v_clock;
  while v_taken < v_room loop
    v_next := queue_next_turn(v_shapes, p_projects, v_busy);
    exit when v_next.project_id is null or cardinality(v_busy) > 64;
    v_item := null;
    -- A project that somebody holds is passed over, and keeps its turn.
    if v_next.project_id <> all(v_held) then
      perform 1 from projects where id = v_next.project_id for no key update skip locked;
      if found then
        v_held := v_held || v_next.project_id;
      end if;
    end if;
    if v_next.project_id = any(v_held) then
      v_item := queue_take(v_next.project_id, greatest(v_next.turn, v_clock), v_shapes, p_worker);
    end if;
    if v_item.id is null then
      v_busy := v_busy || v_next.project_id;
    else
      v_last := greatest(v_last, v_next.turn);
      v_taken := v_taken + 1;
      return next v_item;
    end if;
  end loop;
  if v_taken > 0 then
    update queue_state set running = running + v_taken;
    update queue_shapes set turn = v_last - ahead where id = any(v_shapes) and turn < v_last - ahead;
  end if;
  if v_is_less or cardinality(v_busy) > 0 then
    return next null::queue_items;
  end if;
end $$;

-- Builds for this worker: item, row, attempt and first events change hands in this one statement. A build whose key is at
-- its provider's rate limit comes back PENDING: it waits until resume_at with the others that use the key. A last row of
-- nulls as that of queue_claim.
--   p_started, p_held  events as append_build_events takes them; resumeAt is added to the latter
create or replace function claim_builds(p_worker uuid, p_labels text[], p_max integer, p_projects uuid[],
                                        p_lease_seconds integer, p_stagger_seconds integer, p_started jsonb, p_held jsonb)
returns setof build_audit language plpgsql as $$
declare
  v_item queue_items;
  v_build build_audit;
  v_resume timestamptz(3);
  v_passed boolean := false;
begin
  for v_item in select * from queue_claim(p_worker, array['build'], p_labels, p_max, p_projects) loop
    if v_item.id is null then
      v_passed := true;
      continue;
    end if;
    select * into v_build from build_audit where id = v_item.id and status = 'PENDING' for no key update skip locked;
    if not found then
      -- Somebody is at it, or it is a build no more.
      if exists (select from build_audit where id = v_item.id and status = 'PENDING') then
        perform queue_put_back(v_item.id, clock_timestamp());
        v_passed := true;
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
  if v_passed then
    return next null::build_audit;
  end if;
end $$;

alter table tasks
  -- What its claimant has called the last claim: who asks with it again is given the same tasks.
  add column claim_id text,
  add check (claim_id is null or claimed_by is not null);
create index tasks_claim on tasks (claimed_by, claim_id) where status = 'RUNNING' and claim_id is not null;

-- Gives one task each to at most as many claimants as there are ready tasks, in one statement: the queue's lock is held
-- until its transaction ends, so nothing else may follow in it. A last row of nulls as that of
-- queue_claim.
--   p_claimants  who they are; each gets at most one
--   p_kinds      `task:<type>`
--   p_labels     what the claimants have
--   p_projects   only tasks of these; null means all
--   p_claim_ids  what each of them calls its claim, null for nothing: who has tasks by that name is given these, in place of
--                others, as long as their leases hold
--   p_worker     for which worker of Slipway all this is; null for others
create function claim_tasks(p_claimants text[], p_kinds text[], p_labels text[], p_projects uuid[],
                            p_claim_ids text[] default null, p_worker uuid default null) returns setof tasks
language plpgsql as $$
declare
  v_claimants text[] := p_claimants;
  v_claim_ids text[] := p_claim_ids;
  -- Those that have asked before.
  v_known text[] := '{}';
  v_passed boolean := false;
  v_item record;
  v_task tasks;
  v_given integer := 0;
begin
  if exists (select from unnest(p_claim_ids) claim_id where claim_id is not null) then
    -- The statement whose answer was lost may still be on its way.
    perform pg_advisory_xact_lock(hashtextextended('slipway:claim:' || claimant || ' ' || claim_id, 0))
      from (select distinct claimant, claim_id from unnest(p_claimants, p_claim_ids) a (claimant, claim_id)
             where claim_id is not null order by 1, 2) asked;
    for v_task in
      select t.* from tasks t
        join (select distinct claimant, claim_id from unnest(p_claimants, p_claim_ids) a (claimant, claim_id)) asked
          on t.claimed_by = asked.claimant and t.claim_id = asked.claim_id
       where t.status = 'RUNNING' and t.lease_until > clock_timestamp() and 'task:' || t.type = any(p_kinds)
         and (p_projects is null or t.project_id = any(p_projects))
       order by t.started_at, t.id
    loop
      v_known := v_known || array[v_task.claimed_by || ' ' || v_task.claim_id];
      return next v_task;
    end loop;
    select array_agg(claimant order by place), array_agg(claim_id order by place) into v_claimants, v_claim_ids
      from unnest(p_claimants, p_claim_ids) with ordinality a (claimant, claim_id, place)
     where claim_id is null or claimant || ' ' || claim_id <> all(v_known);
    if v_claimants is null then
      return;
    end if;
  end if;
  for v_item in
    select q.id from queue_claim(p_worker => p_worker, p_kinds => p_kinds, p_labels => p_labels,
                                 p_max => cardinality(v_claimants), p_projects => p_projects) q
  loop
    if v_item.id is null then
      v_passed := true;
      continue;
    end if;
    select * into v_task from tasks where id = v_item.id and status = 'PENDING' for no key update skip locked;
    if not found then
      -- Somebody is changing it, or it is over: back into the queue, or out of it.
      if exists (select from tasks where id = v_item.id and status = 'PENDING') then
        perform queue_put_back(v_item.id, clock_timestamp());
        v_passed := true;
      else
        perform queue_remove(v_item.id);
      end if;
      continue;
    end if;
    v_given := v_given + 1;
    update tasks
       set status = 'RUNNING', attempt_no = attempt_no + 1, lease_token = gen_random_uuid(),
           lease_until = clock_timestamp() + make_interval(secs => lease_seconds), claimed_by = v_claimants[v_given],
           claim_id = v_claim_ids[v_given], progress = null, started_at = clock_timestamp()
     where id = v_item.id;
    perform append_task_events(v_item.id, jsonb_build_array(jsonb_build_object('type', 'CLAIMED', 'data',
      jsonb_build_object('claimedBy', v_claimants[v_given]))));
    select * into v_task from tasks where id = v_item.id;
    return next v_task;
  end loop;
  if v_passed then
    return next null::tasks;
  end if;
end $$;

-- Removes what nothing is in any more.
create or replace function queue_tidy() returns void language plpgsql as $$
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
  delete from queue_shapes s where not exists (select from queue_pools p where p.shape_id = s.id);
end $$;

-- What does not agree: one sentence each; nothing when all is well. Looks at every item.
create or replace function queue_check() returns setof text language plpgsql as $$
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
  select format('pool %s is next at %s with %s, it would be at %s with %s', p.id, h.turn, h.project_id, n.turn, n.project_id)
    from queue_pools p
    left join queue_heads h on h.pool_id = p.id
    left join lateral (
      select t.turn + p.ahead as turn, t.project_id from queue_turns t
       where t.pool_id = p.id and t.ready and p.open and p.gate <> ''
       order by t.turn, t.project_id limit 1) n on true
   where h.turn is distinct from n.turn or h.project_id is distinct from n.project_id
  union all
  select format('item %s waits in a lane that is gone', i.id) from queue_items i
   where i.lane_id is not null and i.claimed_at is null and not exists (select from queue_lanes l where l.id = i.lane_id);
end $$;

select queue_refresh_heads(array_agg(id)) from queue_pools;
