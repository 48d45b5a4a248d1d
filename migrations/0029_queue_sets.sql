-- A claim of many items takes them as one set, and what has come and gone is counted with as few statements as it needs.
--
-- Whose turn is when is known beforehand: a project that stands at turn t starts at t, t + 1 / weight, t + 2 / weight …,
-- and none of this depends on what the others do. So a claim writes the next starts of all on one list, and takes that many
-- items of each. Whoever has fewer leaves a gap, and what comes behind a credential that becomes full is dropped: then the
-- claim goes on with another round, from where everybody stands then. A few items are taken one at a time, by queue_take:
-- lists cost more than that. Where nobody else has a turn, no list is needed: see queue_take_lane.

drop function queue_shapes_of(text[], text[]);
drop function queue_next_turn(integer[], uuid[], uuid[]);
drop function queue_take(uuid, double precision, integer[], uuid);

-- This, queue_take, queue_starts, queue_take_starts, queue_take_only and queue_take_lane are called by queue_claim_ids only, under the
-- settings of its callers.
-- Whose turn it is; nobody's if nothing may start. p_projects: none but these; null for all. p_busy: none of these. p_gated:
-- there are credentials with a limit.
create function queue_next_turn(p_shapes integer[], p_projects uuid[], p_busy uuid[], p_gated boolean,
                                out project_id uuid, out turn double precision)
language plpgsql stable as $$
begin
  if p_projects is not null then
    select t.project_id, t.turn + p.ahead + s.ahead into project_id, turn
      from queue_turns t
      join queue_pools p on p.id = t.pool_id
      join queue_shapes s on s.id = p.shape_id
     where t.project_id = any(p_projects) and p.shape_id = any(p_shapes) and p.open and t.ready
       and t.project_id <> all(p_busy)
     order by t.turn + p.ahead + s.ahead, t.project_id limit 1;
  elsif not p_gated then
    select n.project_id, n.turn + p.ahead + s.ahead into project_id, turn
      from queue_shapes s
      join queue_pools p on p.shape_id = s.id and p.gate = ''
      cross join lateral (
        select t.project_id, t.turn from queue_turns t
         where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
         order by t.turn, t.project_id limit 1) n
     where s.id = any(p_shapes)
     order by n.turn + p.ahead + s.ahead, n.project_id limit 1;
  else
    select f.project_id, f.turn into project_id, turn from (
      -- What no credential holds back.
      select n.project_id, n.turn + p.ahead + s.ahead as turn
        from queue_shapes s
        join queue_pools p on p.shape_id = s.id and p.gate = ''
        cross join lateral (
          select t.project_id, t.turn from queue_turns t
           where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
           order by t.turn, t.project_id limit 1) n
       where s.id = any(p_shapes)
      union all
      select h.project_id, h.turn + s.ahead
        from queue_shapes s
        cross join lateral (
          select h.project_id, h.turn from queue_heads h
           where h.shape_id = s.id and h.turn is not null and h.project_id <> all(p_busy)
           order by h.turn, h.project_id limit 1) h
       where s.id = any(p_shapes)
      union all
      -- Behind those that are busy.
      select n.project_id, n.turn + p.ahead + s.ahead
        from queue_turns first
        join queue_heads h on h.pool_id = first.pool_id and h.project_id = first.project_id
        join queue_pools p on p.id = h.pool_id
        join queue_shapes s on s.id = h.shape_id
        cross join lateral (
          select t.project_id, t.turn from queue_turns t
           where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
           order by t.turn, t.project_id limit 1) n
       where first.project_id = any(p_busy) and h.shape_id = any(p_shapes)
    ) f
    order by f.turn, f.project_id limit 1;
  end if;
end $$;

-- As in 0023_queue_seams.sql, but what may start is looked up once: not for each place where it is used.
create or replace function queue_refresh(p_projects uuid[]) returns void language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off as $$
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
      from (select t.project_id, t.pool_id, t.ready as was_ready, p.gate, coalesce(p.closed_turn, s.turn) - p.ahead as turn,
                   o.paused_at is null and (o.max_running is null or o.running < o.max_running)
                     and coalesce((select true from queue_lanes l
                                  where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready limit 1), false) as ready
              from queue_turns t
              join queue_owners o on o.project_id = t.project_id
              join queue_pools p on p.id = t.pool_id
              join queue_shapes s on s.id = p.shape_id
             where t.project_id = any(p_projects)
            offset 0) as now_ready
     where now_ready.ready <> now_ready.was_ready and t.project_id = now_ready.project_id and t.pool_id = now_ready.pool_id
    returning t.pool_id, now_ready.gate
  )
  select array_agg(distinct pool_id) filter (where gate <> '') into v_pools from refreshed;
  if v_pools is not null then
    perform queue_refresh_heads(v_pools);
  end if;
end $$;

-- Takes the next item of this project out of these shapes, in one statement, as each of them costs as much as what it does.
-- Null when somebody holds the project, or each of its items.
create function queue_take(p_project uuid, p_turn double precision, p_shapes integer[], p_gated boolean, p_worker uuid)
returns uuid language plpgsql as $$
declare
  v record;
  v_passed bigint[] := '{}';
begin
  for i in 1..8 loop
    with project as materialized (
      select id from projects where id = p_project for no key update skip locked
    ), lane as materialized (
      -- Nothing of it that waits is before `rank`. Said to the index, it passes over what is gone.
      select l.id, l.rank
        from project
        join queue_turns t on t.project_id = project.id and t.ready
        join queue_pools p on p.id = t.pool_id and p.open and p.shape_id = any(p_shapes)
        cross join lateral (
          select l.id, l.rank from queue_lanes l
           where l.project_id = p_project and l.pool_id = t.pool_id and l.ready and l.id <> all(v_passed)
           order by l.rank, l.id limit 1) l
       order by l.rank, l.id limit 1
    ), item as materialized (
      select id from queue_items
       where lane_id = (select id from lane) and rank >= (select rank from lane) and claimed_at is null
       order by rank, id limit 1 for update skip locked
    ), taken as (
      update queue_items set claimed_at = clock_timestamp(), worker_id = p_worker where id = (select id from item)
      returning id, key, gate
    ), owner as (
      update queue_owners set running = running + 1, waiting = waiting - 1
       where project_id = p_project and exists (select from taken)
      returning weight, key_limit, coalesce(running >= max_running, false) as is_full
    ), keyed as (
      insert into queue_keys as k (project_id, key, running) select p_project, key, 1 from taken where key <> ''
      on conflict (project_id, key) do update set running = k.running + 1
      returning running >= coalesce(max_running, (select key_limit from owner)) as is_full
    ), lanes as (
      update queue_lanes l
         set waiting = l.waiting - 1, rank = next.rank, ready = next.rank is not null and not next.is_full
        from (select (select i.rank from queue_items i
                       where i.lane_id = (select id from lane) and i.rank >= (select rank from lane) and i.claimed_at is null
                         and i.id <> (select id from item)
                       order by i.rank, i.id limit 1) as rank,
                     coalesce((select is_full from keyed), false) as is_full offset 0) next
       where l.id = (select id from lane) and exists (select from taken)
      returning l.pool_id, l.ready
    ), turns as (
      update queue_turns t
         set turn = case when p.open and p.shape_id = any(p_shapes)
                         then greatest(t.turn, p_turn - p.ahead - s.ahead + 1 / o.weight) else t.turn end,
             ready = t.ready and not o.is_full and (
               t.pool_id = l.pool_id and l.ready
               or coalesce((select true from queue_lanes other
                             where other.project_id = t.project_id and other.pool_id = t.pool_id and other.ready
                               and other.id <> (select id from lane) limit 1), false))
        from owner o, lanes l, queue_pools p, queue_shapes s
       where t.project_id = p_project and p.id = t.pool_id and s.id = p.shape_id
    ), gates as (
      update queue_gates g set running = g.running + 1 from taken where g.gate = taken.gate and taken.gate <> ''
      returning g.running >= g.max_running as is_full
    )
    select lane.id as lane_id, taken.id, taken.key, taken.gate, keyed.is_full as key_is_full, gates.is_full as gate_is_full into v
      from lane left join taken on true left join keyed on true left join gates on true;
    exit when v.lane_id is null or v.id is not null;
    v_passed := v_passed || v.lane_id;
  end loop;
  if v.id is null then
    return null;
  end if;
  -- Others of its key, behind other credentials or labels. In one condition, the query would be begun for each item.
  if v.key_is_full then
    if exists (select from queue_lanes where project_id = p_project and key = v.key and ready) then
      perform queue_refresh_lanes(array[p_project], array[v.key]);
      perform queue_refresh(array[p_project]);
    end if;
  end if;
  if p_gated then
    -- As queue_refresh_heads.
    insert into queue_heads as h (pool_id, shape_id, turn, project_id)
    select p.id, p.shape_id, n.turn + p.ahead, n.project_id
      from queue_turns mine
      join queue_pools p on p.id = mine.pool_id and p.gate <> ''
      left join lateral (
        select t.turn, t.project_id from queue_turns t
         where t.pool_id = p.id and t.ready and p.open order by t.turn, t.project_id limit 1) n on true
     where mine.project_id = p_project
    on conflict (pool_id) do update set turn = excluded.turn, project_id = excluded.project_id
      where h.turn is distinct from excluded.turn or h.project_id is distinct from excluded.project_id;
  end if;
  if v.gate_is_full then
    perform queue_refresh_gates(array[v.gate]);
  end if;
  return v.id;
end $$;

-- The next starts in these shapes, in order: at most p_left. p_projects: none but these; null for all. p_busy: none of
-- these.
--   p_clock     the turn at which this worker is: nobody starts before it
--   p_gated     there are credentials with a limit
--   o_projects  of each start: whose it is, and its turn
--   o_locked    those of them whose rows were free: they are the claim's now
create function queue_starts(p_shapes integer[], p_projects uuid[], p_busy uuid[], p_left integer, p_clock double precision,
                             p_gated boolean, out o_projects uuid[], out o_turns double precision[], out o_locked uuid[])
language plpgsql as $$
declare
  -- A project may stand at several turns only where there are several pools.
  v_mixed boolean := p_gated or cardinality(p_shapes) > 1;
begin
  with stands as (
    -- What no credential holds back.
    select t.project_id, t.turn + p.ahead + s.ahead as turn
      from queue_shapes s
      join queue_pools p on p.shape_id = s.id and p.gate = ''
      cross join lateral (
        select t.project_id, t.turn from queue_turns t
         where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
         order by t.turn, t.project_id limit p_left) t
     where s.id = any(p_shapes) and p_projects is null
    union all
    -- The first pools of credentials, and those that begin with somebody who is busy.
    select t.project_id, t.turn + p.ahead + s.ahead
      from queue_shapes s
      cross join lateral (
        (select h.pool_id from queue_heads h
          where h.shape_id = s.id and h.turn is not null and h.project_id <> all(p_busy)
          order by h.turn, h.project_id limit p_left)
        union all
        (select h.pool_id from queue_turns first
           join queue_heads h on h.pool_id = first.pool_id and h.project_id = first.project_id and h.shape_id = s.id
          where first.project_id = any(p_busy))
      ) h
      join queue_pools p on p.id = h.pool_id
      cross join lateral (
        select t.project_id, t.turn from queue_turns t
         where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
         order by t.turn, t.project_id limit p_left) t
     where s.id = any(p_shapes) and p_projects is null and p_gated
    union all
    select t.project_id, t.turn + p.ahead + s.ahead
      from queue_turns t
      join queue_pools p on p.id = t.pool_id
      join queue_shapes s on s.id = p.shape_id
     where t.project_id = any(p_projects) and p.shape_id = any(p_shapes) and p.open and t.ready
       and t.project_id <> all(p_busy)
  ), firsts as (
    select project_id, min(turn) as turn from stands group by project_id order by min(turn), project_id limit p_left
  ), runners as (
    select f.project_id, f.turn, greatest(f.turn, p_clock) as base, o.weight,
           least(o.waiting, o.max_running - o.running, p_left) as most,
           -- Where its second start is depends on what it has where it stands now: nothing behind that is known.
           coalesce(v_mixed and greatest(f.turn, p_clock) + 1 / o.weight < (
             select max(t.turn + p.ahead + s.ahead)
               from queue_turns t join queue_pools p on p.id = t.pool_id join queue_shapes s on s.id = p.shape_id
              where t.project_id = f.project_id and t.ready and p.open and s.id = any(p_shapes)), false) as unclear,
           sum(o.weight) over by_turn as weights,
           sum(o.weight * greatest(f.turn, p_clock)) over by_turn as bases
      from firsts f join queue_owners o on o.project_id = f.project_id
    window by_turn as (order by f.turn, f.project_id rows unbounded preceding)
  ), starts as (
    select r.project_id, case when n = 0 then r.turn else r.base + n / r.weight end as turn
      from runners r
      -- Before `turn` the first ones have as many starts as are asked for, if they have as many items. What is not before it
      -- is not listed: whoever has more items than they could come first.
      cross join (select min((p_left + bases) / weights) as turn,
                         min(base + 1 / weight) filter (where unclear) as known from runners) until
      cross join lateral generate_series(0, least(r.most, case when r.unclear then 1 end,
        greatest(0, floor((until.turn - r.base) * r.weight)) + 1)::integer - 1) n
     where r.base + n / r.weight < least(until.turn, until.known)
     order by 2, 1 limit p_left
  ), locked as (
    select p.id from projects p where p.id = any(array(select project_id from starts)) for no key update skip locked
  )
  select array_agg(s.project_id order by s.turn, s.project_id), array_agg(s.turn order by s.turn, s.project_id),
         array(select id from locked)
    into o_projects, o_turns, o_locked
    from starts s;
end $$;

-- Takes the items of these starts, as far as there are any that nobody holds. p_held: none of these.
--   o_items     what is taken, in order
--   o_projects  whose that is
--   o_turn      the last start of them
--   o_missed    items that somebody holds
create function queue_take_starts(p_projects uuid[], p_turns double precision[], p_shapes integer[], p_clock double precision,
                           p_gated boolean, p_held uuid[], p_worker uuid, out o_items uuid[], out o_projects uuid[],
                           out o_turn double precision, out o_missed uuid[])
language plpgsql as $$
declare
  v_lanes bigint[];
  v_keys text[];
  v_gates text[];
begin
  with starts as (
    select project_id, turn, place, row_number() over (partition by project_id order by place) as n
      from unnest(p_projects, p_turns) with ordinality s (project_id, turn, place)
  ), lanes as (
    select w.project_id, w.wanted, p.gate, l.id, l.key, l.rank, coalesce(l.room, w.wanted) as room,
           row_number() over (partition by w.project_id order by l.rank, l.id) as place
      from (select project_id, count(*) as wanted from starts group by project_id) w
      cross join lateral (select pool_id from queue_turns where project_id = w.project_id and ready offset 0) t
      join queue_pools p on p.id = t.pool_id and p.open and p.shape_id = any(p_shapes)
      cross join lateral (
        select l.id, l.key, l.rank,
               case when l.key <> '' then (
                 select coalesce(k.max_running, o.key_limit) - coalesce(k.running, 0)
                   from queue_owners o
                   left join queue_keys k on k.project_id = o.project_id and k.key = l.key
                  where o.project_id = w.project_id) end as room
          from queue_lanes l
         where l.project_id = w.project_id and l.pool_id = t.pool_id and l.ready
         order by l.rank, l.id limit w.wanted) l
  ), items as (
    select l.project_id, l.gate, l.id as lane_id, l.key, l.room, i.id, i.rank,
           row_number() over (partition by l.project_id, l.key order by i.rank, l.id, i.id) as of_key
      -- So many lanes have enough items: what comes after the first of the last one is not taken.
      from (select *, max(rank) filter (where place = wanted) over (partition by project_id) as last from lanes) l
      cross join lateral (
        select id, rank from queue_items
         where lane_id = l.id and rank >= l.rank and rank <= coalesce(l.last, 'infinity') and claimed_at is null
           and id <> all(p_held)
         order by rank, id limit least(l.wanted, l.room)) i
     where l.place <= l.wanted
  ), chosen as (
    select s.place, s.turn, i.project_id, i.gate, i.id
      from (select *, row_number() over (partition by project_id order by rank, lane_id, id) as n
              from items where key = '' or of_key <= room) i
      join starts s on s.project_id = i.project_id and s.n = i.n
  ), fitting as (
    select * from chosen
     where not p_gated or place < coalesce((
       select min(c.place)
         from (select gate, place, row_number() over (partition by gate order by place) as n from chosen where gate <> '') c
         join queue_gates g on g.gate = c.gate
        where g.running + c.n > g.max_running), 1000000000)
  ), taken as (
    update queue_items set claimed_at = clock_timestamp(), worker_id = p_worker
     where id = any(array(select id from queue_items where id = any(array(select id from fitting)) and claimed_at is null
                           for update skip locked))
    returning id, lane_id, key, gate
  ), owners as (
    update queue_owners o set running = o.running + n.n, waiting = o.waiting - n.n
      from (select f.project_id, count(*) as n from taken t join fitting f on f.id = t.id group by f.project_id) n
     where o.project_id = n.project_id
  )
  select array_agg(f.id order by f.place) filter (where t.id is not null),
         array_agg(f.project_id order by f.place) filter (where t.id is not null),
         max(f.turn) filter (where t.id is not null),
         array_agg(f.id) filter (where t.id is null),
         array_agg(t.lane_id) filter (where t.id is not null),
         array_agg(t.key order by f.place) filter (where t.key <> ''),
         array_agg(t.gate) filter (where t.gate <> '')
    into o_items, o_projects, o_turn, o_missed, v_lanes, v_keys, v_gates
    from fitting f left join taken t on t.id = f.id;
  if o_items is null then
    return;
  end if;
  update queue_lanes l
     set waiting = l.waiting - n.n,
         (rank, ready) = (
           select next.rank, next.rank is not null
             from (select (select i.rank from queue_items i
                            where i.lane_id = l.id and i.rank >= l.rank and i.claimed_at is null
                            order by i.rank, i.id limit 1) as rank) next)
    from (select lane_id, count(*) as n from unnest(v_lanes) lane_id group by lane_id) n
   where l.id = n.lane_id;
  if v_keys is not null then
    insert into queue_keys as k (project_id, key, running)
    select i.project_id, i.key, count(*) from queue_items i where i.id = any(o_items) and i.key <> '' group by 1, 2
    on conflict (project_id, key) do update set running = k.running + excluded.running;
    perform queue_refresh_lanes(array_agg(i.project_id), array_agg(i.key))
      from queue_items i where i.id = any(o_items) and i.key <> '';
  end if;
  update queue_turns t
     set turn = case when p.open and p.shape_id = any(p_shapes)
                     then greatest(t.turn, n.base + n.n / o.weight - p.ahead - s.ahead) else t.turn end,
         ready = t.ready and (o.max_running is null or o.running < o.max_running)
                 and coalesce((select true from queue_lanes l
                                where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready limit 1), false)
    from (select taken.project_id, taken.n, greatest(min(s.turn), p_clock) as base
            from (select project_id, count(*) as n from unnest(o_projects) project_id group by project_id) taken
            join unnest(p_projects, p_turns) s (project_id, turn) on s.project_id = taken.project_id
           group by taken.project_id, taken.n) n
    join queue_owners o on o.project_id = n.project_id, queue_pools p, queue_shapes s
   where t.project_id = n.project_id and p.id = t.pool_id and s.id = p.shape_id;
  if p_gated then
    perform queue_refresh_heads(array(
      select t.pool_id from queue_turns t join queue_pools p on p.id = t.pool_id
       where t.project_id = any(o_projects) and p.gate <> ''));
  end if;
  if v_gates is not null then
    update queue_gates g set running = g.running + n.n
      from (select gate, count(*) as n from unnest(v_gates) gate group by gate) n where g.gate = n.gate;
    if exists (select from queue_gates where gate = any(v_gates) and running >= max_running) then
      perform queue_refresh_gates(v_gates);
    end if;
  end if;
end $$;

-- Takes the one item that has come, where nothing else waits that this worker could start: it need not be sorted in first.
-- Null if it is not as simple as that.
--   o_turn  where its project stood
create function queue_take_only(p_shapes integer[], p_projects uuid[], p_clock double precision, p_worker uuid,
                                out o_item uuid, out o_turn double precision)
language plpgsql as $$
declare
  v record;
begin
  select i.id, i.project_id, l.id as lane_id, greatest(t.turn + p.ahead, s.turn + 0.0625) + s.ahead as turn, o.weight into v
    from queue_items i
    join queue_shapes s on s.kind = i.kind and s.needs = i.needs
    join queue_pools p on p.shape_id = s.id and p.gate = ''
    join queue_turns t on t.project_id = i.project_id and t.pool_id = p.id
    join queue_lanes l on l.project_id = i.project_id and l.key = i.key and l.pool_id = p.id
    join queue_owners o on o.project_id = i.project_id
    join projects on projects.id = i.project_id
   where i.lane_id is null and i.ready_at <= clock_timestamp() and i.key = ''
     and s.id = any(p_shapes) and (p_projects is null or i.project_id = any(p_projects))
     and l.waiting = 0 and o.paused_at is null and o.max_running is null
     and not exists (select from queue_gates g where g.gate = i.gate)
     and not exists (select from queue_pools other join queue_turns waits on waits.pool_id = other.id and waits.ready
                      where other.shape_id = any(p_shapes))
     for update of i skip locked for no key update of projects skip locked;
  if v.id is null then
    return;
  end if;
  with item as (
    update queue_items set lane_id = v.lane_id, claimed_at = clock_timestamp(), worker_id = p_worker where id = v.id
  ), owner as (
    update queue_owners set running = running + 1 where project_id = v.project_id
  )
  update queue_turns t set turn = greatest(t.turn, greatest(v.turn, p_clock) - p.ahead - s.ahead + 1 / v.weight)
    from queue_pools p, queue_shapes s
   where t.project_id = v.project_id and p.id = t.pool_id and p.open and s.id = p.shape_id and s.id = any(p_shapes);
  o_item := v.id;
  o_turn := v.turn;
end $$;

-- Takes the next items of the only lane that may start, where there is only one: nobody's turn is between them. Null if it
-- is not as simple as that.
--   o_items  what is taken, in order
--   o_turn   the last start of them
create function queue_take_lane(p_shapes integer[], p_projects uuid[], p_left integer, p_clock double precision, p_worker uuid,
                                out o_items uuid[], out o_turn double precision)
language plpgsql as $$
declare
  v record;
  v_lane record;
  v_base double precision;
begin
  select t.project_id, t.pool_id, p.gate, t.turn + p.ahead + s.ahead as turn, count(*) over () as turns into v
    from queue_shapes s
    join queue_pools p on p.shape_id = s.id and p.open
    cross join lateral (
      select t.project_id, t.pool_id, t.turn from queue_turns t
       where t.pool_id = p.id and t.ready order by t.turn, t.project_id limit 2) t
   where s.id = any(p_shapes)
   limit 1;
  if v.turns is distinct from 1 or v.gate <> '' or v.project_id <> all(p_projects) then
    return;
  end if;
  select l.id, l.rank, o.weight, least(p_left, o.max_running - o.running) as most into v_lane
    from queue_lanes l
    join queue_owners o on o.project_id = l.project_id
    join projects on projects.id = l.project_id
   where l.project_id = v.project_id and l.pool_id = v.pool_id and l.key = '' and l.ready
     and not exists (select from queue_lanes other
                      where other.project_id = v.project_id and other.pool_id = v.pool_id and other.ready and other.key <> '')
     for no key update of projects skip locked;
  if v_lane.id is null then
    return;
  end if;
  v_base := greatest(v.turn, p_clock);
  with items as materialized (
    select id from queue_items where lane_id = v_lane.id and rank >= v_lane.rank and claimed_at is null
     order by rank, id limit v_lane.most for update skip locked
  ), taken as (
    update queue_items set claimed_at = clock_timestamp(), worker_id = p_worker where id = any(array(select id from items))
    returning id, rank
  ), counted as (
    select array_agg(id order by rank, id) as ids, count(*) as n from taken
  ), next as (
    select (select i.rank from queue_items i
             where i.lane_id = v_lane.id and i.rank >= v_lane.rank and i.claimed_at is null
               and i.id not in (select id from items)
             order by i.rank, i.id limit 1) as rank offset 0
  ), lane as (
    update queue_lanes l set waiting = l.waiting - c.n, rank = next.rank, ready = next.rank is not null
      from counted c, next where l.id = v_lane.id and c.n > 0
  ), owner as (
    update queue_owners o set running = o.running + c.n, waiting = o.waiting - c.n
      from counted c where o.project_id = v.project_id and c.n > 0
    returning coalesce(o.running >= o.max_running, false) as is_full
  ), turns as (
    update queue_turns t
       set turn = case when p.open and p.shape_id = any(p_shapes)
                       then greatest(t.turn, v_base - p.ahead - s.ahead + c.n / v_lane.weight) else t.turn end,
           ready = t.ready and not o.is_full and case when t.pool_id = v.pool_id then next.rank is not null
                   else coalesce((select true from queue_lanes l
                                   where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready limit 1), false) end
      from counted c, next, owner o, queue_pools p, queue_shapes s
     where t.project_id = v.project_id and p.id = t.pool_id and s.id = p.shape_id
  )
  select ids, case when n = 1 then v.turn else v_base + (n - 1) / v_lane.weight end into o_items, o_turn from counted;
end $$;

-- Up to p_max items of these kinds that now are this worker's, in order; none for one that takes no work. One statement of
-- its own, together with what is written about the items: until its transaction ends, nobody else claims.
--   o_passed  there may be more that somebody holds at this moment: ask again soon
create function queue_claim_ids(p_worker uuid, p_kinds text[], p_labels text[], p_max integer, p_projects uuid[],
                                out o_items uuid[], out o_passed boolean)
language plpgsql as $$
declare
  -- Items sorted in by one claim: a flood is spread over several.
  v_batch constant integer := 10000;
  v_state queue_state;
  v_counts boolean;
  v_shapes integer[];
  v_busy uuid[] := '{}';
  v_held uuid[] := '{}';
  v_takes_work boolean;
  v_gated boolean;
  v_has_gates boolean;
  v_clock double precision;
  v_behind double precision;
  v_last double precision;
  v_left integer;
  v_next record;
  v_taken record;
  v_item uuid;
  v_new integer;
  v_only record;
begin
  o_items := '{}';
  o_passed := false;
  -- Most looks find nothing, and need no lock to see it.
  if not exists (select from queue_items where lane_id is null and ready_at <= clock_timestamp())
     and not exists (select from queue_removals)
     and not exists (select from queue_shapes s join queue_pools p on p.shape_id = s.id and p.open
                       join queue_turns t on t.pool_id = p.id and t.ready
                      where s.kind = any(p_kinds) and s.needs <@ p_labels
                        and (p_projects is null or t.project_id = any(p_projects))) then
    return;
  end if;
  -- Who cordons, drains or evicts the worker waits for its claims, and is waited for. Not under the row of queue_state: all
  -- others would wait, too.
  select coalesce(cordoned_at, draining_at, evicted_at) is null into v_takes_work
    from workers where id = p_worker for key share;
  if not v_takes_work then
    return;
  end if;
  select * into v_state from queue_state for update;
  -- What is gone and holds nobody back is counted later, with others. Where several are asked for, it does if it has a limit.
  select (select count(*) from (
            select from queue_items where lane_id is null and ready_at <= clock_timestamp() limit 2) new),
         coalesce(v_state.running + p_max > v_state.max_running, false) or (
    select count(*) = 16 or coalesce(bool_or(
             not r.ran
             or o.max_running is not null and (p_max > 1 or o.running >= o.max_running)
             or r.key <> '' and coalesce((
               select p_max > 1 or k.running >= coalesce(k.max_running, o.key_limit)
                 from queue_keys k where k.project_id = r.project_id and k.key = r.key), false)
             or r.gate <> '' and coalesce((
               select p_max > 1 or g.running >= g.max_running from queue_gates g where g.gate = r.gate), false)), false)
      from (select * from queue_removals order by seq limit 16) r left join queue_owners o on o.project_id = r.project_id),
         exists (select from queue_heads where turn is not null), exists (select from queue_gates), s.*
    into v_new, v_counts, v_gated, v_has_gates, v_shapes, v_clock, v_behind
    from (select coalesce(array_agg(id), '{}'), max(turn + ahead), min(turn + ahead)
            from queue_shapes where kind = any(p_kinds) and needs <@ p_labels) s;
  if v_new = 1 and p_max > 0 and v_state.paused_at is null and not v_counts then
    if v_behind = v_clock then
      v_only := queue_take_only(v_shapes, p_projects, v_clock, p_worker);
      if v_only.o_item is not null then
        o_items := array[v_only.o_item];
        update queue_state set running = running + 1;
        update queue_shapes set turn = v_only.o_turn - ahead where id = any(v_shapes) and turn < v_only.o_turn - ahead;
        return;
      end if;
    end if;
  end if;
  if v_counts and queue_count_removals(v_batch) > 0 then
    select * into v_state from queue_state;
  end if;
  v_left := least(p_max, v_state.max_running - v_state.running);
  if v_new > 0 then
    perform queue_sort_in(v_batch);
    -- More than a batch, or held by somebody.
    o_passed := exists (select from queue_items where lane_id is null and ready_at <= clock_timestamp());
  end if;
  if v_state.paused_at is not null or v_left <= 0 then
    o_passed := false;
    return;
  end if;
  if v_counts or v_new > 0 then
    select exists (select from queue_heads where turn is not null), s.*
      into v_gated, v_shapes, v_clock, v_behind
      from (select coalesce(array_agg(id), '{}'), max(turn + ahead), min(turn + ahead)
              from queue_shapes where kind = any(p_kinds) and needs <@ p_labels) s;
  end if;
  -- Where this worker serves, one clock counts: what nobody has served in a while is owed nothing by the others.
  if v_behind < v_clock then
    update queue_shapes set ahead = v_clock - turn where id = any(v_shapes) and turn + ahead < v_clock;
  end if;
  v_last := v_clock;
  if v_left > 1 and not v_gated and not v_has_gates then
    v_taken := queue_take_lane(v_shapes, p_projects, v_left, v_clock, p_worker);
    if v_taken.o_items is not null then
      o_items := v_taken.o_items;
      v_left := v_left - cardinality(o_items);
      v_last := greatest(v_last, v_taken.o_turn);
    end if;
  end if;
  while v_left >= 6 and cardinality(v_busy) <= 64 loop
    v_next := queue_starts(v_shapes, p_projects, v_busy, v_left, v_clock, v_gated);
    exit when v_next.o_projects is null;
    -- A project that somebody holds is passed over, and keeps its turn.
    if not v_next.o_projects <@ v_next.o_locked then
      v_busy := v_busy || array(select distinct p from unnest(v_next.o_projects) p where p <> all(v_next.o_locked));
      select array_agg(p order by n), array_agg(turn order by n) into v_next.o_projects, v_next.o_turns
        from unnest(v_next.o_projects, v_next.o_turns) with ordinality s (p, turn, n) where p = any(v_next.o_locked);
      continue when v_next.o_projects is null;
    end if;
    v_taken := queue_take_starts(v_next.o_projects, v_next.o_turns, v_shapes, v_clock, v_gated, v_held, p_worker);
    v_held := v_held || v_taken.o_missed;
    if v_taken.o_items is not null then
      o_items := o_items || v_taken.o_items;
      v_left := v_left - cardinality(v_taken.o_items);
      v_last := greatest(v_last, v_taken.o_turn);
    elsif v_taken.o_missed is null or cardinality(v_held) > 64 then
      -- Somebody holds all that these have.
      v_busy := v_busy || array(select distinct unnest(v_next.o_projects));
    end if;
  end loop;
  while v_left > 0 and cardinality(v_busy) <= 64 loop
    v_next := queue_next_turn(v_shapes, p_projects, v_busy, v_gated);
    exit when v_next.project_id is null;
    v_item := queue_take(v_next.project_id, greatest(v_next.turn, v_clock), v_shapes, v_gated, p_worker);
    if v_item is null then
      v_busy := v_busy || v_next.project_id;
    else
      o_items := o_items || v_item;
      v_left := v_left - 1;
      v_last := greatest(v_last, v_next.turn);
    end if;
  end loop;
  if cardinality(o_items) > 0 then
    with state as (
      update queue_state set running = running + cardinality(o_items)
    )
    update queue_shapes set turn = v_last - ahead where id = any(v_shapes) and turn < v_last - ahead;
  elsif not v_counts then
    -- Whoever looks next sees without a lock that there is nothing.
    perform queue_count_removals(v_batch);
  end if;
  o_passed := o_passed or cardinality(v_busy) > 0;
end $$;

-- The same as rows; a last one of nulls if there may be more.
create or replace function queue_claim(p_worker uuid, p_kinds text[], p_labels text[], p_max integer,
                                       p_projects uuid[] default null)
returns setof queue_items language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  v_claim record;
begin
  v_claim := queue_claim_ids(p_worker, p_kinds, p_labels, p_max, p_projects);
  return query
    select i.* from unnest(v_claim.o_items) with ordinality taken (id, n) join queue_items i on i.id = taken.id order by n;
  if v_claim.o_passed then
    return next null::queue_items;
  end if;
end $$;

-- Builds for this worker: items, rows, attempts and first events change hands in this one statement. A build whose key is
-- at its provider's rate limit comes back PENDING: it waits until resume_at with the others that use the key. A last row of
-- nulls as that of queue_claim.
--   p_started, p_held  events as append_build_events takes them; resumeAt is added to the latter
create or replace function claim_builds(p_worker uuid, p_labels text[], p_max integer, p_projects uuid[],
                                        p_lease_seconds integer, p_stagger_seconds integer, p_started jsonb, p_held jsonb)
returns setof build_audit language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  v_claim record;
  -- Of builds. What waits for its key is not among the first.
  v_ids uuid[];
  v_started uuid[];
  v_id uuid;
  v_paused record;
  v_count constant integer := jsonb_array_length(p_started);
begin
  v_claim := queue_claim_ids(p_worker, array['build'], p_labels, p_max, p_projects);
  v_ids := v_claim.o_items;
  if cardinality(v_ids) > 0 and exists (select from quota_pauses where until > now()) then
    -- What has something to go on with on a worker is not held: a run, an outcome or a push.
    for v_paused in
      select b.id, (pause.until + make_interval(secs => random() * p_stagger_seconds))::timestamptz(3) as resume
        from unnest(v_claim.o_items) with ordinality c (id, n)
        join build_audit b on b.id = c.id
        join quota_pauses pause on pause.provider = b.provider and pause.until > now()
         and pause.credential = coalesce(nullif(queue_gate_of(b.project_id, coalesce(pause.variable, '')), ''), 'worker')
       where b.status = 'PENDING' and b.cancel_requested_at is null and (b.attempt_no = 0 or b.waiting_for = 'QUOTA')
       order by c.n
         for no key update of b skip locked
    loop
      continue when v_paused.id <> all(v_ids);
      update build_audit set waiting_for = 'QUOTA', resume_at = v_paused.resume where id = v_paused.id;
      perform append_build_events(v_paused.id, null, jsonb_set(p_held, '{0,data,resumeAt}', to_jsonb(v_paused.resume)));
      perform queue_put_back(v_paused.id, v_paused.resume);
      v_ids := array_remove(v_ids, v_paused.id);
      return query select * from build_audit where id = v_paused.id;
    end loop;
  end if;
  if cardinality(v_ids) > 0 then
    with started as (
      update build_audit
         set status = 'RUNNING', phase = 'PREPARING', waiting_for = null, resume_at = null, attempt_no = attempt_no + 1,
             ledger_no = 0, worker_id = p_worker, lease_until = now() + make_interval(secs => p_lease_seconds),
             started_at = coalesce(started_at, clock_timestamp()), last_seq = last_seq + v_count
       where id = any(array(select id from build_audit where id = any(v_ids) and status = 'PENDING'
                               for no key update skip locked))
      returning id, project_id, attempt_no, last_seq
    ), attempts as (
      insert into build_attempts (build_id, attempt_no, worker_id) select id, attempt_no, p_worker from started
    ), happened as (
      select s.id, s.project_id, s.attempt_no, s.last_seq - v_count + e.n as seq, e.event,
             (e.event ->> 'milestone')::boolean as is_milestone, array_position(v_ids, s.id) as place
        from started s cross join jsonb_array_elements(p_started) with ordinality e (event, n)
    ), events as (
      insert into build_events (build_id, seq, attempt_no, type, at, data)
      select id, seq, attempt_no, event ->> 'type', clock_timestamp(), event -> 'data' from happened
    ), activity as (
      -- The claim holds these projects.
      update projects p set activity_seq = p.activity_seq + m.n
        from (select project_id, count(*) as n from happened where is_milestone group by project_id) m
       where p.id = m.project_id and p.id = any(array(select project_id from started))
      returning p.id, p.activity_seq - m.n as before
    ), milestones as (
      insert into project_events (project_id, seq, build_id, build_seq, type, at)
      select h.project_id, a.before + row_number() over (partition by h.project_id order by h.place, h.seq), h.id, h.seq,
             h.event ->> 'type', clock_timestamp()
        from happened h join activity a on a.id = h.project_id
       where h.is_milestone
    )
    select array_agg(id order by array_position(v_ids, id)) into v_started from started;
    if v_started is null or cardinality(v_started) < cardinality(v_ids) then
      foreach v_id in array v_ids loop
        continue when v_id = any(v_started);
        -- Somebody is at it, or it is a build no more.
        if exists (select from build_audit where id = v_id and status = 'PENDING') then
          perform queue_put_back(v_id, clock_timestamp());
          v_claim.o_passed := true;
        else
          perform queue_remove(v_id);
        end if;
      end loop;
    end if;
    return query
      select b.* from unnest(v_started) with ordinality s (id, n) join build_audit b on b.id = s.id order by s.n;
  end if;
  if v_claim.o_passed then
    return next null::build_audit;
  end if;
end $$;

-- They have ended, or are not wanted any more. Those for which one that a limit holds back may be able to start now.
create function queue_remove_many(p_ids uuid[]) returns uuid[] language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_freed uuid[];
begin
  with gone as (
    delete from queue_items where id = any(p_ids) returning id, lane_id, project_id, key, gate, claimed_at
  ), noted as (
    insert into queue_removals (lane_id, project_id, key, gate, ran)
    select lane_id, project_id, key, gate, claimed_at is not null from gone where lane_id is not null
  )
  select array_agg(v.id) into v_freed from gone v
   where v.claimed_at is not null and (
     v.key <> ''
     or (v.gate <> '' and exists (select from queue_gates where gate = v.gate))
     -- As a value: what only exists would be looked up for all projects first.
     or (select max_running is not null from queue_owners where project_id = v.project_id)
     or (select max_running is not null from queue_state));
  return coalesce(v_freed, '{}');
end $$;

-- True: one that a limit holds back may be able to start now.
create or replace function queue_remove(p_id uuid) returns boolean language plpgsql as $$
begin
  return cardinality(queue_remove_many(array[p_id])) > 0;
end $$;

-- Counts what is gone: at most p_limit items. Returns how many.
create or replace function queue_count_removals(p_limit integer) returns integer language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_lanes bigint[];
  v_projects uuid[];
  v_keys text[];
  v_gates text[];
  v_ran boolean[];
  v_keyed boolean;
  v_gated boolean;
  v_waited boolean;
  v_limited boolean;
begin
  with gone as (
    delete from queue_removals where seq in (select seq from queue_removals order by seq limit p_limit) returning *
  )
  select array_agg(lane_id), array_agg(project_id), array_agg(key), array_agg(gate), array_agg(ran),
         bool_or(key <> ''), bool_or(gate <> ''), bool_or(not ran)
    into v_lanes, v_projects, v_keys, v_gates, v_ran, v_keyed, v_gated, v_waited from gone;
  if v_lanes is null then
    return 0;
  end if;
  update queue_state set running = running - (select count(*) from unnest(v_ran) r where r);
  with counted as (
    update queue_owners o set running = o.running - g.ran, waiting = o.waiting - g.waited
      from (select project_id, count(*) filter (where ran) as ran, count(*) filter (where not ran) as waited
              from unnest(v_projects, v_ran) u (project_id, ran) group by project_id) g
     where o.project_id = g.project_id
    returning o.max_running
  )
  select bool_or(max_running is not null) into v_limited from counted;
  if v_keyed then
    -- By the projects' keys: a join alone would read all there are.
    update queue_keys k set running = k.running - g.ran
      from (select project_id, key, count(*) as ran
              from unnest(v_projects, v_keys, v_ran) u (project_id, key, ran) where ran and key <> '' group by 1, 2) g
     where k.project_id = g.project_id and k.key = g.key and k.project_id = any(v_projects) and k.key = any(v_keys);
  end if;
  if v_gated then
    update queue_gates q set running = q.running - g.ran
      from (select gate, count(*) as ran from unnest(v_gates, v_ran) u (gate, ran) where ran and gate <> '' group by 1) g
     where q.gate = g.gate;
  end if;
  if v_waited then
    update queue_lanes l
       set waiting = l.waiting - g.waited,
           rank = next.rank,
           ready = l.ready and next.rank is not null
      from (select lane_id, count(*) as waited from unnest(v_lanes, v_ran) u (lane_id, ran) where not ran group by 1) g
      left join lateral (
        select i.rank from queue_items i where i.lane_id = g.lane_id and i.claimed_at is null order by i.rank, i.id limit 1
      ) next on true
     where l.id = g.lane_id;
  end if;
  if v_keyed then
    perform queue_refresh_lanes(v_projects, v_keys);
  end if;
  if v_gated then
    perform queue_refresh_gates(v_gates);
  end if;
  -- What has run, without a limit, holds nobody back.
  if v_keyed or v_waited or v_limited then
    perform queue_refresh(v_projects);
  end if;
  return cardinality(v_lanes);
end $$;

-- Puts what has come, and what has come due, into its lanes: at most p_limit items. Returns how many.
create or replace function queue_sort_in(p_limit integer) returns integer language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_projects uuid[];
  v_keys text[];
  v_gates text[];
  -- The first ones in their lanes.
  v_missing uuid[];
begin
  with due as (
    select id from queue_items where lane_id is null and ready_at <= clock_timestamp()
     order by ready_at limit p_limit for update skip locked
  ), placed as (
    -- By the indexes of pools and lanes, one at a time: a join of what was just made would compare all with all.
    update queue_items i
       set lane_id = (select l.id from queue_lanes l
                       where l.project_id = i.project_id and l.key = i.key and l.pool_id = (
                         select p.id from queue_pools p
                          where p.kind = i.kind and p.needs = i.needs
                            and p.gate = coalesce((select g.gate from queue_gates g where g.gate = i.gate), '')))
     where i.id = any(array(select id from due))
    returning i.id, i.project_id, i.key, i.gate, i.lane_id, i.rank
  ), lanes as (
    update queue_lanes l set waiting = l.waiting + p.n, rank = least(l.rank, p.rank), ready = l.ready or l.key = ''
      from (select lane_id, count(*) as n, min(rank) as rank from placed group by lane_id) p
     where l.id = p.lane_id
  ), owners as (
    update queue_owners o set waiting = o.waiting + p.n
      from (select project_id, count(*) as n from placed where lane_id is not null group by project_id) p
     where o.project_id = p.project_id
  )
  select array_agg(project_id), array_agg(key), array_agg(gate), array_agg(id) filter (where lane_id is null)
    into v_projects, v_keys, v_gates, v_missing from placed;
  if v_projects is null then
    return 0;
  end if;
  if v_missing is not null then
    insert into queue_owners (project_id) select distinct project_id from queue_items where id = any(v_missing) on conflict do nothing;
    insert into queue_shapes (kind, needs)
    select distinct i.kind, i.needs from queue_items i
     where i.id = any(v_missing) and not exists (select from queue_shapes s where s.kind = i.kind and s.needs = i.needs)
    on conflict do nothing;
    insert into queue_pools (shape_id, kind, needs, gate)
    select distinct s.id, i.kind, i.needs, coalesce(g.gate, '')
      from queue_items i
      join queue_shapes s on s.kind = i.kind and s.needs = i.needs
      left join queue_gates g on g.gate = i.gate
     where i.id = any(v_missing)
       and not exists (select from queue_pools p where p.kind = i.kind and p.needs = i.needs and p.gate = coalesce(g.gate, ''))
    on conflict do nothing;
    with placed as (
      select i.project_id, i.key, i.rank, p.id as pool_id
        from queue_items i
        left join queue_gates g on g.gate = i.gate
        join queue_pools p on p.kind = i.kind and p.needs = i.needs and p.gate = coalesce(g.gate, '')
       where i.id = any(v_missing)
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
     where i.id = any(v_missing);
  end if;
  if v_missing is not null or exists (select from unnest(v_keys) key where key <> '') then
    perform queue_refresh_lanes(v_projects, v_keys);
  end if;
  if v_missing is not null or exists (select from unnest(v_gates) gate where gate <> '') then
    perform queue_refresh_gates(v_gates);
  end if;
  perform queue_refresh(v_projects);
  return cardinality(v_projects);
end $$;
