-- What the stress test does to the queue, each in one transaction together with a line in the log of what was done.

create table stress_log (seq bigint generated always as identity, item uuid not null, what text not null);

-- Of what was claimed: whose limit is exceeded now. Nobody else claims until this has been committed.
create function stress_claim(p_labels text[], p_max integer) returns setof text language plpgsql as $$
declare
  v queue_items;
  v_all queue_items[] := '{}';
begin
  for v in select * from queue_claim(gen_random_uuid(), '{task:a,task:b}', p_labels, p_max) where id is not null loop
    insert into stress_log (item, what) values (v.id, 'claimed');
    v_all := v_all || v;
  end loop;
  return query
  with running as materialized (select * from queue_items where claimed_at is not null)
  select format('%s of all', n.n) from queue_state s, (select count(*) as n from running) n
   where cardinality(v_all) > 0 and (n.n > s.max_running or s.paused_at is not null)
  union all
  select format('%s of project %s', n.n, o.project_id)
    from queue_owners o, lateral (select count(*) as n from running r where r.project_id = o.project_id) n
   where exists (select from unnest(v_all) t where t.project_id = o.project_id)
     and (n.n > o.max_running or o.paused_at is not null)
  union all
  select format('%s of key %s', n.n, t.key)
    from unnest(v_all) t
    join queue_owners o on o.project_id = t.project_id
    left join queue_keys k on k.project_id = t.project_id and k.key = t.key,
    lateral (select count(*) as n from running r where r.project_id = t.project_id and r.key = t.key) n
   where t.key <> '' and n.n > coalesce(k.max_running, o.key_limit)
  union all
  select format('%s of credential %s', n.n, g.gate)
    from queue_gates g, lateral (select count(*) as n from running r where r.gate = g.gate) n
   where exists (select from unnest(v_all) t where t.gate = g.gate) and n.n > g.max_running;
end $$;

-- As a build is accepted: under its project's row.
create function stress_add(p_project uuid, p_key text, p_variable text, p_needs text[], p_later boolean)
returns void language plpgsql as $$
declare
  v_id uuid := gen_random_uuid();
begin
  perform 1 from projects where id = p_project for no key update;
  perform queue_add(v_id, case when random() < 0.5 then 'task:a' else 'task:b' end, p_project, p_needs, p_key, p_variable,
                    floor(random() * 5)::integer, now(), now() + case when p_later then interval '50 ms' else '0' end);
  insert into stress_log (item, what) values (v_id, 'added');
end $$;

-- As a build is finished, cancelled, put back or moved up: under its own row, and then its project's.
create function stress_change(p_what text, p_claimed boolean) returns void language plpgsql as $$
declare
  v queue_items;
begin
  select * into v from queue_items where (claimed_at is not null) = p_claimed order by random() limit 1;
  select * into v from queue_items where id = v.id for update;
  if not found then
    return;
  end if;
  if p_what = 'gone' then
    perform queue_remove(v.id);
  elsif p_what = 'back' then
    perform queue_put_back(v.id, clock_timestamp());
  else
    perform queue_set_priority(v.id, floor(random() * 9)::integer);
    return;
  end if;
  perform 1 from projects where id = v.project_id for no key update;
  insert into stress_log (item, what) values (v.id, p_what);
end $$;
