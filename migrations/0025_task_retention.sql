-- What is kept of tasks, and for how long; and what builds that are older than the queue lack in it.

-- Events up to this one were dropped. A task that is requeued goes on behind it.
alter table tasks add column dropped_seq bigint not null default 0 check (dropped_seq <= last_seq);
create index tasks_with_events on tasks (finished_at) where finished_at is not null and dropped_seq < last_seq;
-- Enrolments that nobody came with, for whoever removes them.
create index worker_enrolments_unused on worker_enrolments (expires_at) where used_at is null;

-- Drops events of tasks that ended more than p_days ago: the next hundred of each of p_batch tasks at most. Returns how
-- many tasks there were.
create function drop_task_events(p_days integer, p_batch integer) returns integer language plpgsql as $$
declare
  v_tasks integer;
begin
  with old as (
    select id, dropped_seq as after, least(dropped_seq + 100, last_seq) as until from tasks
     where finished_at < now() - make_interval(days => p_days) and dropped_seq < last_seq
     order by finished_at limit p_batch for update skip locked
  ), gone as (
    delete from task_events e using old where e.task_id = old.id and e.seq > old.after and e.seq <= old.until
  )
  update tasks t set dropped_seq = old.until from old where t.id = old.id;
  get diagnostics v_tasks = row_count;
  return v_tasks;
end $$;

-- Drops tasks that ended more than p_days ago and whose events are gone, with their callbacks: p_batch at most. One whose
-- callback is on its way stays. Returns how many.
create function drop_tasks(p_days integer, p_batch integer) returns integer language plpgsql as $$
declare
  v_tasks integer;
begin
  with old as (
    select id from tasks t
     where finished_at < now() - make_interval(days => p_days) and dropped_seq = last_seq
       and not exists (select from deliveries d where d.task_id = t.id and d.status = 'PENDING')
     order by finished_at limit p_batch for update skip locked
  ), tries as (
    delete from delivery_attempts a using deliveries d, old where d.task_id = old.id and a.delivery_id = d.id
  ), reports as (
    delete from deliveries d using old where d.task_id = old.id
  )
  delete from tasks t using old where t.id = old.id;
  get diagnostics v_tasks = row_count;
  return v_tasks;
end $$;

-- After provider_keys has changed: each build in the queue belongs to the credential that it uses. Builds that are older
-- than the queue were queued before anybody had written which variables there are. Last in its transaction.
create function queue_learn_keys() returns void language plpgsql as $$
declare
  v_variable text;
  v_variables text[];
begin
  with learnt as (
    update queue_items i set variable = k.variable
      from build_audit b join provider_keys k on k.provider = b.provider
     where i.kind = 'build' and b.id = i.id and i.variable <> k.variable
    returning i.variable
  )
  select array_agg(distinct variable order by variable) into v_variables from learnt;
  foreach v_variable in array coalesce(v_variables, '{}') loop
    perform queue_regate(v_variable);
  end loop;
end $$;
select queue_learn_keys();
