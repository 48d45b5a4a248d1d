-- What the oracle must see at the moment when it happens: every claim, and every move of a schedule. Installed in a run's
-- database before anything is claimed. It counts rows that run, never the counters of the queue.

create table oracle_claims (
  seq         bigint generated always as identity primary key,
  id          uuid not null,
  kind        text not null,
  attempt_no  integer not null
);

-- What must not be.
create table oracle_breaches (
  promise  text not null,
  id       uuid not null,
  is_task  boolean not null,
  detail   text not null
);

-- How often others went first while this project, or this item, could have started: now, and at most.
create table oracle_passed (
  subject     uuid not null,
  -- Of an item its own, of a project itself.
  project_id  uuid not null,
  kind        text not null,
  needs       text[] not null,
  passed      integer not null,
  longest     integer not null,
  primary key (subject, kind, needs)
);

-- Each change of a schedule's next time, and what the same change has noted.
create table oracle_moves (
  seq          bigint generated always as identity primary key,
  schedule_id  uuid not null,
  at           timestamptz not null,
  due          timestamptz,
  next         timestamptz,
  noted        text
);

create view oracle_running as
select r.*, coalesce(i.gate, '') as gate
  from (select id, project_id, coalesce(spec ->> 'concurrencyKey', '') as key from build_audit where status = 'RUNNING'
        union all
        select id, project_id, coalesce(concurrency_key, '') from tasks where status = 'RUNNING') r
  left join queue_items i on i.id = r.id;

-- What waits among what the same workers take, and could start now. What somebody else holds is passed over by a claim.
create function oracle_ready(p_kind text, p_needs text[]) returns setof queue_items language sql as $$
  select i.*
    from queue_items i
    join queue_owners o on o.project_id = i.project_id
    join projects p on p.id = i.project_id
   where i.kind = p_kind and i.needs = p_needs and i.lane_id is not null and i.claimed_at is null
     and o.paused_at is null
     and coalesce((select count(*) from queue_items r
                    where r.project_id = i.project_id and r.claimed_at is not null) < o.max_running, true)
     and (i.key = '' or (select count(*) from queue_items r
                          where r.project_id = i.project_id and r.key = i.key and r.claimed_at is not null)
                        < coalesce((select k.max_running from queue_keys k where k.project_id = i.project_id and k.key = i.key),
                                   o.key_limit))
     and coalesce((select count(*) from queue_items r where r.gate = i.gate and r.claimed_at is not null)
                  < (select g.max_running from queue_gates g where g.gate = i.gate), true)
     for share of i, p skip locked
$$;

-- Claims in which a project that could start may be passed over. It stands 1 / weight behind the clock at most; until the
-- clock is there, each other one starts as many items as its weight is greater, and one that it has at the clock already.
-- Twice that, because a claim also passes over a project whose row is held, and room that is made while it decides.
create function oracle_patience(p_project uuid) returns integer language sql as $$
  select 2 * coalesce(sum(floor(other.weight / own.weight) + 1), 0)::integer
    from queue_owners own join queue_owners other on other.project_id <> own.project_id
   where own.project_id = p_project
$$;

create function oracle_count_passed(p_item queue_items, p_is_task boolean) returns void language plpgsql as $$
declare
  -- Items of the same project: a claim passes over what somebody holds, and takes the next one.
  v_races constant integer := 8;
  v_projects uuid[];
  v_items uuid[];
begin
  select coalesce(array_agg(distinct project_id) filter (where project_id <> p_item.project_id), '{}'),
         coalesce(array_agg(id) filter (where project_id = p_item.project_id and rank < p_item.rank), '{}')
    into v_projects, v_items from oracle_ready(p_item.kind, p_item.needs);
  update oracle_passed set passed = 0
   where kind = p_item.kind and needs = p_item.needs and passed > 0 and subject <> all(v_projects || v_items)
     and (subject = project_id or project_id = p_item.project_id);
  insert into oracle_passed as o (subject, project_id, kind, needs, passed, longest)
  select subject, case when subject = any(v_items) then p_item.project_id else subject end, p_item.kind, p_item.needs, 1, 1
    from unnest(v_projects || v_items) subject
  on conflict (subject, kind, needs) do update set passed = o.passed + 1, longest = greatest(o.longest, o.passed + 1);
  insert into oracle_breaches (promise, id, is_task, detail)
  select 'starved', p_item.id, p_is_task, format('project %s was passed over %s times', subject, passed)
    from oracle_passed
   where kind = p_item.kind and needs = p_item.needs and subject = any(v_projects) and passed > oracle_patience(subject)
  union all
  select 'starved', p_item.id, p_is_task, format('item %s was passed over %s times', subject, passed)
    from oracle_passed
   where kind = p_item.kind and needs = p_item.needs and subject = any(v_items) and passed > v_races;
end $$;

-- After each row that becomes RUNNING, under the limits of that moment.
create function oracle_claimed() returns trigger language plpgsql as $$
declare
  v_row jsonb := to_jsonb(new);
  v_is_task boolean := tg_table_name = 'tasks';
  v_item queue_items;
begin
  -- One at a time: should two claims ever be made together, the later one sees what the earlier one has started.
  perform pg_advisory_xact_lock(hashtextextended('oracle_claims', 0));
  insert into oracle_claims (id, kind, attempt_no)
  values (new.id, case when v_is_task then 'task:' || (v_row ->> 'type') else 'build' end, new.attempt_no);
  select * into v_item from queue_items where id = new.id;
  insert into oracle_breaches (promise, id, is_task, detail)
  with running as materialized (select * from oracle_running), own as (select * from running where id = new.id)
  select 'limits', new.id, v_is_task, detail from (
    select format('%s run of all, where %s may', n.n, s.max_running) as detail
      from queue_state s, lateral (select count(*) as n from running) n where n.n > s.max_running
    union all
    select 'it was started while everything is paused' from queue_state where paused_at is not null
    union all
    select format('%s run of project %s, where %s may', n.n, o.project_id, o.max_running)
      from own join queue_owners o on o.project_id = own.project_id,
           lateral (select count(*) as n from running r where r.project_id = own.project_id) n
     where n.n > o.max_running
    union all
    select 'it was started while its project is paused'
      from own join queue_owners o on o.project_id = own.project_id where o.paused_at is not null
    union all
    select format('%s run of key %s, where %s may', n.n, own.key, coalesce(k.max_running, o.key_limit))
      from own join queue_owners o on o.project_id = own.project_id
      left join queue_keys k on k.project_id = own.project_id and k.key = own.key,
           lateral (select count(*) as n from running r where r.project_id = own.project_id and r.key = own.key) n
     where own.key <> '' and n.n > coalesce(k.max_running, o.key_limit)
    union all
    select format('%s run of credential %s, where %s may', n.n, g.gate, g.max_running)
      from own join queue_gates g on g.gate = own.gate,
           lateral (select count(*) as n from running r where r.gate = g.gate) n
     where n.n > g.max_running
  ) found
  union all
  select 'queue', new.id, v_is_task, 'it was started without a place in the queue' where v_item.claimed_at is null;
  if v_item.id is not null then
    perform oracle_count_passed(v_item, v_is_task);
  end if;
  return null;
end $$;

create trigger oracle_claimed after update of status on build_audit for each row
  when (new.status = 'RUNNING' and old.status <> 'RUNNING') execute function oracle_claimed();
-- After each build that goes on with another worker without having been in the queue: its place is still taken, nobody
-- was passed over for it, and its worker runs no more than it can.
create function oracle_passed_on() returns trigger language plpgsql as $$
begin
  insert into oracle_claims (id, kind, attempt_no) values (new.id, 'build', new.attempt_no);
  insert into oracle_breaches (promise, id, is_task, detail)
  select 'queue', new.id, false, 'it was passed on without its place in the queue'
   where not exists (select from queue_items i
                      where i.id = new.id and i.claimed_at is not null and i.worker_id = new.worker_id)
  union all
  select 'limits', new.id, false, 'it was passed on to a worker that has no place for it, or takes no work'
   where not exists (select from workers w
                      where w.id = new.worker_id and w.cordoned_at is null and w.draining_at is null
                        and (select count(*) from build_audit b where b.worker_id = w.id and b.status = 'RUNNING')
                            <= w.capacity)
  union all
  select 'limits', new.id, false, 'it was passed on, and its worker was not dead'
   where not exists (select from workers w where w.id = old.worker_id and w.stopped_at is not null);
  return null;
end $$;

create trigger oracle_passed_on after update of attempt_no on build_audit for each row
  when (new.status = 'RUNNING' and old.status = 'RUNNING') execute function oracle_passed_on();
create trigger oracle_claimed after update of status on tasks for each row
  when (new.status = 'RUNNING' and old.status <> 'RUNNING') execute function oracle_claimed();

create function oracle_moved() returns trigger language plpgsql as $$
begin
  insert into oracle_moves (schedule_id, at, due, next, noted)
  values (new.id,
          coalesce(case when new.last_run_at is distinct from old.last_run_at then new.last_run_at end,
                   case when new.last_skipped_at is distinct from old.last_skipped_at then new.last_skipped_at end,
                   clock_timestamp()),
          old.next_run_at, new.next_run_at,
          case when new.last_skipped_at is distinct from old.last_skipped_at then new.last_skipped_reason
               when new.refusals > old.refusals then new.last_error end);
  return null;
end $$;

create trigger oracle_moved after update of next_run_at on schedules for each row execute function oracle_moved();
