-- A claim costs less: it looks for limited credentials only where there are some, and begins in a lane where something waits.

-- Whose turn it is; nobody's if nothing may start. p_projects: none but these; null for all. p_busy: none of these.
create or replace function queue_next_turn(p_shapes integer[], p_projects uuid[], p_busy uuid[],
                                           out project_id uuid, out turn double precision)
language plpgsql stable as $$
declare
  v_head record;
begin
  if p_projects is null then
    -- What no credential holds back.
    select n.project_id, n.turn + p.ahead + s.ahead into project_id, turn
      from queue_shapes s
      join queue_pools p on p.shape_id = s.id and p.gate = ''
      cross join lateral (
        select t.project_id, t.turn from queue_turns t
         where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
         order by t.turn, t.project_id limit 1) n
     where s.id = any(p_shapes)
     order by n.turn + p.ahead + s.ahead, n.project_id limit 1;
    if not exists (select from queue_heads where queue_heads.turn is not null) then
      return;
    end if;
    for v_head in
      (select h.project_id, h.turn + s.ahead as turn
         from queue_shapes s
         cross join lateral (
           select h.project_id, h.turn from queue_heads h
            where h.shape_id = s.id and h.turn is not null and h.project_id <> all(p_busy)
            order by h.turn, h.project_id limit 1) h
        where s.id = any(p_shapes)
        order by h.turn + s.ahead, h.project_id limit 1)
      union all
      -- Behind those that are busy.
      (select n.project_id, n.turn + p.ahead + s.ahead
         from queue_turns first
         join queue_heads h on h.pool_id = first.pool_id and h.project_id = first.project_id
         join queue_pools p on p.id = h.pool_id
         join queue_shapes s on s.id = h.shape_id
         cross join lateral (
           select t.project_id, t.turn from queue_turns t
            where t.pool_id = p.id and t.ready and t.project_id <> all(p_busy)
            order by t.turn, t.project_id limit 1) n
        where first.project_id = any(p_busy) and h.shape_id = any(p_shapes)
        order by n.turn + p.ahead + s.ahead, n.project_id limit 1)
    loop
      if project_id is null or (v_head.turn, v_head.project_id) < (turn, project_id) then
        project_id := v_head.project_id;
        turn := v_head.turn;
      end if;
    end loop;
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
create or replace function queue_take(p_project uuid, p_turn double precision, p_shapes integer[], p_worker uuid)
returns queue_items language plpgsql as $$
declare
  v queue_items;
  v_lane bigint;
  -- Of the lane: nothing of it that waits is before. Said to the index, it passes over what is gone.
  v_rank timestamp;
  v_next_rank timestamp;
  v_passed bigint[] := '{}';
  v_owner queue_owners;
  v_is_full boolean;
begin
  for i in 1..8 loop
    select l.id, l.rank into v_lane, v_rank
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
     where id = (select id from queue_items where lane_id = v_lane and rank >= v_rank and claimed_at is null
                  order by rank, id limit 1 for update skip locked)
    returning * into v;
    exit when found;
    v_passed := v_passed || v_lane;
  end loop;
  if v.id is null then
    return null;
  end if;
  select i.rank into v_next_rank from queue_items i
   where i.lane_id = v_lane and i.rank >= v_rank and i.claimed_at is null order by i.rank, i.id limit 1;
  update queue_lanes set waiting = waiting - 1, rank = v_next_rank, ready = v_next_rank is not null where id = v_lane;
  if v.key <> '' then
    insert into queue_keys as k (project_id, key, running) values (v.project_id, v.key, 1)
    on conflict (project_id, key) do update set running = k.running + 1;
    perform queue_refresh_lanes(array[v.project_id], array[v.key]);
  end if;
  update queue_owners set running = running + 1, waiting = waiting - 1 where project_id = v.project_id
  returning * into v_owner;
  update queue_turns t
     set turn = case when p.open and p.shape_id = any(p_shapes)
                     then greatest(t.turn, p_turn - p.ahead - s.ahead + 1 / v_owner.weight) else t.turn end,
         ready = t.ready and (v_owner.max_running is null or v_owner.running < v_owner.max_running)
                 and coalesce((select true from queue_lanes l
                              where l.project_id = t.project_id and l.pool_id = t.pool_id and l.ready limit 1), false)
    from queue_pools p, queue_shapes s
   where t.project_id = v.project_id and p.id = t.pool_id and s.id = p.shape_id;
  if exists (select from queue_heads where turn is not null) then
    perform queue_refresh_heads(array(
      select t.pool_id from queue_turns t join queue_pools p on p.id = t.pool_id
       where t.project_id = v.project_id and p.gate <> ''));
  end if;
  if v.gate <> '' then
    update queue_gates set running = running + 1 where gate = v.gate returning running >= max_running into v_is_full;
    if v_is_full then
      perform queue_refresh_gates(array[v.gate]);
    end if;
  end if;
  return v;
end $$;
