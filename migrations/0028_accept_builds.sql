-- Builds are accepted many at a time: one statement writes all that a flush of a process brings.

-- Rises with whatever a spec is completed from, so that a process may keep it: who accepts a build says what it has read.
alter table projects add column version integer not null default 1;

create function raise_project_version() returns trigger language plpgsql as $$
begin
  new.version := old.version + 1;
  return new;
end $$;

create trigger projects_version before update of repository_url, default_branch, template, settings on projects
  for each row execute function raise_project_version();

-- What must agree within a row of a project or a build. Every statement that writes such a row reads and prepares the text of
-- each CHECK anew, which costs one row alone more than to store it: so each table has one, and what it calls is compiled once
-- a session. Gives true, or raises the error of a constraint that is named after the rule.
create function refuse_wrong_row(p_table text, p_rule text) returns boolean language plpgsql immutable parallel safe as $$
begin
  if p_rule is null then
    return true;
  end if;
  raise check_violation using
    table = p_table, constraint = p_table || '_' || p_rule,
    message = format('new row for relation "%s" violates check constraint "%s_%s"', p_table, p_table, p_rule);
end $$;

create function check_project(p_slug text, p_status text, p_archived_at timestamptz, p_creation_key text, p_creation_hash text)
returns boolean language plpgsql immutable parallel safe as $$
declare
  v_rule constant text := case
    when p_status not in ('PROVISIONING', 'ACTIVE', 'FAILED', 'ARCHIVED') then 'status'
    when (p_archived_at is not null) <> (p_status = 'ARCHIVED') then 'archived_at'
    when (p_creation_key is null) <> (p_creation_hash is null) then 'creation_key'
    -- The same as the regular expression that it replaces.
    when length(p_slug) not between 1 and 63 or left(p_slug, 1) = '-' or right(p_slug, 1) = '-'
         or translate(p_slug, 'abcdefghijklmnopqrstuvwxyz0123456789-', '') <> '' then 'slug'
  end;
begin
  return v_rule is null or refuse_wrong_row('projects', v_rule);
end $$;

create function check_build(
  p_status text, p_phase text, p_source text, p_waiting_for text, p_resume_at timestamptz, p_attempt_no integer, p_worker_id uuid,
  p_lease_until timestamptz, p_started_at timestamptz, p_finished_at timestamptz, p_result jsonb, p_failure jsonb,
  p_push_intent_sha text, p_pushed_sha text, p_idempotency_key text, p_input_hash text, p_cancel_requested_at timestamptz,
  p_superseded_by uuid, p_schedule_id uuid, p_scheduled_for timestamptz
) returns boolean language plpgsql immutable parallel safe as $$
declare
  v_rule constant text := case
    when p_status not in ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED') then 'status'
    when p_phase not in ('QUEUED', 'PREPARING', 'AGENT', 'VERIFYING', 'PUBLISHING', 'COLLECTING', 'DONE') then 'phase'
    when p_source not in ('API', 'RETRY', 'WEBHOOK', 'SCHEDULE', 'WORKFLOW') then 'source'
    when p_waiting_for not in ('INPUT', 'APPROVAL', 'QUOTA') then 'waiting_for'
    when (p_finished_at is null) <> (p_status in ('PENDING', 'RUNNING')) then 'finished_at'
    when (p_phase = 'QUEUED') <> (p_status = 'PENDING') then 'queued'
    when (p_phase = 'DONE') <> (p_finished_at is not null) then 'done'
    when (p_result is null) <> (p_status in ('PENDING', 'RUNNING')) then 'result'
    when (p_failure is not null) <> (p_status = 'FAILED') then 'failure'
    when (p_lease_until is not null) <> (p_status = 'RUNNING') then 'lease_until'
    when p_status = 'RUNNING' and (p_attempt_no <= 0 or p_worker_id is null or p_started_at is null) then 'running'
    when (p_resume_at is not null) <> (p_waiting_for is not distinct from 'QUOTA') then 'resume_at'
    when p_pushed_sha <> p_push_intent_sha then 'pushed_sha'
    when (p_idempotency_key is null) <> (p_input_hash is null) then 'idempotency_key'
    when p_superseded_by is not null and p_cancel_requested_at is null then 'superseded_by'
    when (p_schedule_id is null) <> (p_scheduled_for is null) then 'scheduled_for'
  end;
begin
  return v_rule is null or refuse_wrong_row('build_audit', v_rule);
end $$;

-- All that there are: Postgres has numbered their names. Not validated: the earlier ones have been, and of a large table it would
-- take minutes.
do $$
declare
  v record;
begin
  for v in
    select conrelid::regclass as relation, conname from pg_constraint
     where contype = 'c' and conrelid in ('projects'::regclass, 'build_audit'::regclass)
  loop
    execute format('alter table %s drop constraint %I', v.relation, v.conname);
  end loop;
end $$;

alter table projects add constraint projects_check check (
  check_project(slug, status, archived_at, creation_key, creation_hash)) not valid;
alter table build_audit
  add constraint build_audit_check check (check_build(
    status, phase, source, waiting_for, resume_at, attempt_no, worker_id, lease_until, started_at, finished_at, result, failure,
    push_intent_sha, pushed_sha, idempotency_key, input_hash, cancel_requested_at, superseded_by, schedule_id, scheduled_for))
    not valid,
  -- Whoever reads it checks all of it. Not validated: the earlier check has been.
  add constraint build_audit_traceparent_check check (octet_length(traceparent) = 55) not valid;

-- Labels that a worker must have for a build.
create function queue_needs(p_labels text[]) returns text[] language sql immutable as $$
  select array(select distinct need from unnest(p_labels) need order by need)
$$;

create function queue_needs_of_build(p_provider text, p_runs_on jsonb) returns text[] language sql immutable as $$
  select case
    when coalesce(jsonb_array_length(p_runs_on), 0) = 0 then array['provider:' || p_provider]
    else queue_needs(array['provider:' || p_provider] || (select array_agg(label) from jsonb_array_elements_text(p_runs_on) label))
  end
$$;

create or replace function queue_add_build(p_build uuid) returns boolean language plpgsql as $$
declare
  v build_audit;
begin
  select * into v from build_audit where id = p_build and status = 'PENDING';
  return found and queue_add(
    v.id, 'build', v.project_id, queue_needs_of_build(v.provider, v.spec -> 'runsOn'),
    coalesce(v.spec ->> 'concurrencyKey', ''),
    coalesce((select k.variable from provider_keys k where k.provider = v.provider), ''),
    v.priority, v.created_at, coalesce(v.resume_at, v.run_after, v.created_at));
end $$;

-- Most builds have no key, and an index of all would be one more to write.
alter table build_audit drop constraint build_audit_project_id_idempotency_key_key;
create unique index build_audit_idempotency_key on build_audit (project_id, idempotency_key) where idempotency_key is not null;

-- Where the item of a build would be that is about to come and could start at once at this worker: if nothing waits that the
-- worker could start, and nobody's limits are to be kept, as queue_take_only of 0029_queue_sets.sql has it. o_lane is null if it
-- is not as simple as that. Waits for nobody, as the caller holds the project; the worker's row and that of queue_state are the
-- caller's then.
--   o_shapes  what the worker serves
--   o_clock   the turn at which it is
--   o_turn    where the project stands
--   o_weight  of the project
create function queue_place_of_one(p_project uuid, p_needs text[], p_gate text, p_worker uuid, p_labels text[], p_only uuid[],
                                   out o_lane bigint, out o_shapes integer[], out o_clock double precision,
                                   out o_turn double precision, out o_weight double precision)
language plpgsql as $$
declare
  v_takes_work boolean;
  v_is_free boolean;
  v_behind double precision;
begin
  if not p_needs <@ p_labels or p_project <> all(p_only) then
    return;
  end if;
  select coalesce(cordoned_at, draining_at, evicted_at) is null into v_takes_work
    from workers where id = p_worker for key share skip locked;
  if v_takes_work is distinct from true then
    return;
  end if;
  select paused_at is null and (max_running is null or running < max_running) into v_is_free
    from queue_state for update skip locked;
  -- What is gone is counted by a claim, so many at a time.
  if v_is_free is distinct from true or (select count(*) = 64 from (select from queue_removals limit 64) gone) then
    return;
  end if;
  select array_agg(id), max(turn + ahead), min(turn + ahead) into o_shapes, o_clock, v_behind
    from queue_shapes where kind = 'build' and needs <@ p_labels;
  if v_behind is distinct from o_clock then
    return;
  end if;
  select l.id, greatest(t.turn + p.ahead, s.turn + 0.0625) + s.ahead, o.weight into o_lane, o_turn, o_weight
    from queue_shapes s
    join queue_pools p on p.shape_id = s.id and p.gate = ''
    join queue_turns t on t.project_id = p_project and t.pool_id = p.id
    join queue_lanes l on l.project_id = p_project and l.key = '' and l.pool_id = p.id
    join queue_owners o on o.project_id = p_project
   where s.kind = 'build' and s.needs = p_needs
     and l.waiting = 0 and o.paused_at is null and o.max_running is null
     and not exists (select from queue_gates where gate = p_gate)
     and not exists (select from queue_items where lane_id is null and ready_at <= clock_timestamp())
     and not exists (select from queue_pools other join queue_turns waits on waits.pool_id = other.id and waits.ready
                      where other.shape_id = any(o_shapes))
     and not exists (select from quota_pauses where until > now());
end $$;

-- One build comes into being: as accept_builds has it, which calls it, too.
--   p_worker    not null: it begins with that at this worker, with the rows that claim_builds would give it, if nothing else waits
--               that the worker could start, and nothing is in the way: `started_at`. Each row is written once then, as it is to
--               be. Else nothing is done, and the outcome is
--                 WAITS   for the usual claim
--               What is behind it is as in claim_builds
create function accept_build(
  p_project uuid, p_waits boolean, p_id uuid, p_version integer, p_key text, p_hash text, p_spec jsonb, p_source text,
  p_retry uuid, p_schedule uuid, p_scheduled timestamptz, p_actor text, p_action text, p_trace text,
  p_worker uuid, p_labels text[], p_only uuid[], p_lease_seconds integer, p_started jsonb,
  out outcome text, out number integer, out holder uuid, out at timestamptz, out started_at timestamptz
) language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  v_project record;
  v_variable text;
  v_gate text := '';
  v_provider constant text := p_spec ->> 'provider';
  v_priority constant integer := p_spec ->> 'priority';
  v_run_after constant timestamptz(3) := p_spec ->> 'runAfter';
  v_key constant text := coalesce(p_spec ->> 'concurrencyKey', '');
  -- As queue_needs_of_build has it, without a call for most builds.
  v_needs constant text[] := case
    when coalesce(jsonb_array_length(p_spec -> 'runsOn'), 0) = 0 then array['provider:' || v_provider]
    else queue_needs_of_build(v_provider, p_spec -> 'runsOn') end;
  v_patience text;
  v_place record;
  v_lane bigint;
  v_steps integer := 0;
  v_milestones integer := 0;
begin
  -- Never later than it is: a claim in the same transaction is to find that it is due.
  at := date_trunc('milliseconds', now());
  if p_waits then
    select status, version, build_count, activity_seq into v_project from projects where id = p_project for no key update;
  else
    select status, version, build_count, activity_seq into v_project from projects where id = p_project
       for no key update skip locked;
    if not found then
      -- Most hold it for a commit: another build of the project begins or ends. This one holds nothing yet.
      v_patience := current_setting('lock_timeout');
      begin
        perform set_config('lock_timeout', '10', true);
        select status, version, build_count, activity_seq into v_project from projects where id = p_project for no key update;
        perform set_config('lock_timeout', v_patience, true);
      exception when lock_not_available then
        outcome := 'BUSY';
        return;
      end;
    end if;
  end if;
  if p_key is not null then
    select b.id into holder
      from (select b.id, b.idempotency_key from build_audit b
             where b.project_id = p_project and b.idempotency_key >= p_key order by b.idempotency_key limit 1) b
     where b.idempotency_key = p_key;
  end if;
  outcome := case when holder is not null then 'KEY_TAKEN'
                  when v_project.status is distinct from 'ACTIVE' then 'NOT_ACTIVE'
                  when p_version <> v_project.version then 'CHANGED'
                  else 'ACCEPTED' end;
  if outcome <> 'ACCEPTED' then
    return;
  end if;
  number := v_project.build_count + 1;
  select variable into v_variable from provider_keys where provider = v_provider;
  if v_variable <> '' then
    v_gate := queue_gate_of(p_project, v_variable);
  end if;
  if p_worker is not null then
    if v_key = '' and (v_run_after is null or v_run_after <= at) then
      v_place := queue_place_of_one(p_project, v_needs, v_gate, p_worker, p_labels, p_only);
      v_lane := v_place.o_lane;
    end if;
    if v_lane is null then
      outcome := 'WAITS';
      return;
    end if;
    -- As it is stored: what a function gives back is not rounded to that.
    started_at := date_trunc('milliseconds', clock_timestamp());
    v_steps := jsonb_array_length(p_started);
    v_milestones := jsonb_array_length(jsonb_path_query_array(p_started, '$[*] ? (@.milestone == true)'));
  end if;
  -- One statement: each costs as much as what it does.
  if started_at is null then
    with counted as (
      update projects set build_count = v_project.build_count + 1, activity_seq = v_project.activity_seq + 1 where id = p_project
    ), built as (
      insert into build_audit (id, project_id, number, source, spec, priority, run_after, last_seq, idempotency_key, input_hash,
                               retry_of, schedule_id, scheduled_for, requested_by, traceparent, created_at)
      values (p_id, p_project, v_project.build_count + 1, p_source, p_spec, v_priority, v_run_after, 1, p_key, p_hash, p_retry,
              p_schedule, p_scheduled, p_actor, p_trace, at)
    ), told as (
      insert into build_events (build_id, seq, attempt_no, type, at, data)
      values (p_id, 1, 0, 'QUEUED', clock_timestamp(),
              jsonb_build_object('runAfter', p_spec -> 'runAfter', 'retryOf', p_retry))
    ), followed as (
      insert into project_events (project_id, seq, build_id, build_seq, type, at)
      values (p_project, v_project.activity_seq + 1, p_id, 1, 'QUEUED', clock_timestamp())
    ), audited as (
      insert into audit_log (actor, action, subject_type, subject_id, project_id)
      values (p_actor, p_action, 'build', p_id, p_project)
    )
    insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
    values (p_id, 'build', p_project, v_key, coalesce(v_variable, ''), v_gate, v_needs, v_priority, at, coalesce(v_run_after, at));
    return;
  end if;
  with counted as (
    update projects
       set build_count = v_project.build_count + 1, activity_seq = v_project.activity_seq + 1 + v_milestones
     where id = p_project
  ), built as (
    insert into build_audit (id, project_id, number, source, spec, priority, run_after, last_seq, idempotency_key, input_hash,
                             retry_of, schedule_id, scheduled_for, requested_by, traceparent, created_at, status, phase,
                             attempt_no, worker_id, lease_until, started_at)
    values (p_id, p_project, v_project.build_count + 1, p_source, p_spec, v_priority, v_run_after, 1 + v_steps, p_key, p_hash,
            p_retry, p_schedule, p_scheduled, p_actor, p_trace, at, 'RUNNING', 'PREPARING', 1, p_worker,
            at + make_interval(secs => p_lease_seconds), started_at)
  ), attempts as (
    insert into build_attempts (build_id, attempt_no, worker_id) values (p_id, 1, p_worker)
  ), told as (
    insert into build_events (build_id, seq, attempt_no, type, at, data)
    select p_id, 1, 0, 'QUEUED', clock_timestamp(), jsonb_build_object('runAfter', p_spec -> 'runAfter', 'retryOf', p_retry)
    union all
    select p_id, 1 + e.n, 1, e.event ->> 'type', clock_timestamp(), e.event -> 'data'
      from jsonb_array_elements(p_started) with ordinality e (event, n)
  ), followed as (
    insert into project_events (project_id, seq, build_id, build_seq, type, at)
    select p_project, v_project.activity_seq + 1, p_id, 1, 'QUEUED', clock_timestamp()
    union all
    select p_project, v_project.activity_seq + 1 + row_number() over (order by e.n), p_id, 1 + e.n, e.event ->> 'type',
           clock_timestamp()
      from jsonb_array_elements(p_started) with ordinality e (event, n) where (e.event ->> 'milestone')::boolean
  ), audited as (
    insert into audit_log (actor, action, subject_type, subject_id, project_id)
    values (p_actor, p_action, 'build', p_id, p_project)
  ), owners as (
    update queue_owners set running = running + 1 where project_id = p_project
  ), turns as (
    -- As queue_take_only has it.
    update queue_turns t
       set turn = greatest(t.turn, greatest(v_place.o_turn, v_place.o_clock) - p.ahead - s.ahead + 1 / v_place.o_weight)
      from queue_pools p, queue_shapes s
     where t.project_id = p_project and p.id = t.pool_id and p.open and s.id = p.shape_id and s.id = any(v_place.o_shapes)
  ), state as (
    update queue_state set running = running + 1
  ), shapes as (
    update queue_shapes set turn = v_place.o_turn - ahead
     where id = any(v_place.o_shapes) and turn < v_place.o_turn - ahead
  )
  insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at, lane_id, claimed_at,
                           worker_id)
  values (p_id, 'build', p_project, v_key, coalesce(v_variable, ''), v_gate, v_needs, v_priority, at, coalesce(v_run_after, at),
          v_lane, started_at, p_worker);
end $$;

-- Builds come into being: rows, first events, audit log and places in the queue, numbered in their order. Of each array one
-- element is of one build. Gives one row for each, in any order: `n` is the place of its element, `at` its time.
--   ACCEPTED    with its number
--   KEY_TAKEN   a build of the project has its idempotency key: `holder`. No two of these may have the same one
--   NOT_ACTIVE  the project takes none
--   CHANGED     its spec was completed from another version of the project (null: of any)
--   BUSY        somebody holds the project's row, and p_waits is false: one alone waits for 10 ms all the same
-- The projects' rows are locked first, in the order of their ids, and held to the commit; keys are looked up under them, as
-- every insert of a build holds its project's. ON CONFLICT would wait for whoever changes the build that has the key, and
-- that may be a claim which waits for this lock.
--   p_locks  the ids of the projects, once each
create function accept_builds(
  p_locks uuid[], p_waits boolean, p_ids uuid[], p_projects uuid[], p_versions integer[], p_keys text[],
  p_hashes text[], p_specs jsonb[], p_sources text[], p_retries uuid[], p_schedules uuid[], p_scheduled timestamptz[],
  p_actors text[], p_actions text[], p_traces text[]
) returns table (n integer, outcome text, number integer, holder uuid, at timestamptz(3)) language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  v_locked uuid[] := p_locks;
  v_one record;
  -- Never later than it is: a claim in the same transaction is to find that they are due.
  v_now constant timestamptz(3) := date_trunc('milliseconds', now());
begin
  -- To begin a plan of all these tables costs one alone more than its rows do.
  if cardinality(p_ids) = 1 then
    v_one := accept_build(
      p_projects[1], p_waits, p_ids[1], p_versions[1], p_keys[1], p_hashes[1], p_specs[1], p_sources[1], p_retries[1],
      p_schedules[1], p_scheduled[1], p_actors[1], p_actions[1], p_traces[1], null, null, null, null, null);
    n := 1;
    outcome := v_one.outcome;
    number := v_one.number;
    holder := v_one.holder;
    at := v_one.at;
    return next;
    return;
  end if;
  if p_waits then
    perform from projects p where p.id = any(p_locks) order by p.id for no key update;
  else
    v_locked := array(select p.id from projects p where p.id = any(p_locks) order by p.id for no key update skip locked);
  end if;
  return query
  with decided as materialized (
    select f.*, row_number() over (partition by f.project, f.outcome order by f.n)::integer as place
      from (select f.n::integer as n, f.project, f.build_count, f.activity_seq, f.holder,
                   case when f.project <> all(v_locked) then 'BUSY'
                        when f.holder is not null then 'KEY_TAKEN'
                        when f.status is distinct from 'ACTIVE' then 'NOT_ACTIVE'
                        when f.version <> f.version_now then 'CHANGED'
                        else 'ACCEPTED' end as outcome
              from (select i.*, p.status, p.version as version_now, p.build_count, p.activity_seq,
                           -- In an order that one index alone has: while the table is empty all look the same, and the plan
                           -- is kept.
                           case when i.key is not null then
                             (select b.id
                                from (select b.id, b.idempotency_key from build_audit b
                                       where b.project_id = i.project and b.idempotency_key >= i.key
                                       order by b.idempotency_key limit 1) b
                               where b.idempotency_key = i.key)
                           end as holder
                      from unnest(p_projects, p_versions, p_keys) with ordinality i(project, version, key, n)
                      left join projects p on p.id = i.project and p.id = any(p_locks)
                    -- `holder` is looked up once.
                    offset 0) f) f
  ), accepted as materialized (
    select d.n, d.project, d.build_count + d.place as number, d.activity_seq + d.place as activity_seq, p_ids[d.n] as id,
           p_keys[d.n] as key, p_hashes[d.n] as hash, p_specs[d.n] as spec, p_specs[d.n] ->> 'provider' as provider,
           (p_specs[d.n] ->> 'priority')::integer as priority, (p_specs[d.n] ->> 'runAfter')::timestamptz(3) as run_after,
           p_sources[d.n] as source, p_retries[d.n] as retry_of, p_schedules[d.n] as schedule,
           p_scheduled[d.n] as scheduled_for, p_actors[d.n] as actor, p_actions[d.n] as action, p_traces[d.n] as trace
      from decided d where d.outcome = 'ACCEPTED'
  ), counted as (
    update projects p set build_count = p.build_count + d.builds, activity_seq = p.activity_seq + d.builds
      from (select d.project, max(d.place) as builds from decided d where d.outcome = 'ACCEPTED' group by d.project) d
     where p.id = d.project
  ), built as (
    insert into build_audit (id, project_id, number, source, spec, priority, run_after, last_seq, idempotency_key, input_hash,
                             retry_of, schedule_id, scheduled_for, requested_by, traceparent, created_at)
    select a.id, a.project, a.number, a.source, a.spec, a.priority, a.run_after, 1, a.key, a.hash, a.retry_of, a.schedule,
           a.scheduled_for, a.actor, a.trace, v_now
      from accepted a
  ), told as (
    insert into build_events (build_id, seq, attempt_no, type, at, data)
    select a.id, 1, 0, 'QUEUED', clock_timestamp(),
           -- The same for most builds, and made once for them.
           case when a.run_after is null and a.retry_of is null then '{"retryOf": null, "runAfter": null}'::jsonb
                else jsonb_build_object('runAfter', a.spec -> 'runAfter', 'retryOf', a.retry_of) end
      from accepted a
  ), followed as (
    insert into project_events (project_id, seq, build_id, build_seq, type, at)
    select a.project, a.activity_seq, a.id, 1, 'QUEUED', clock_timestamp() from accepted a
  ), audited as (
    insert into audit_log (actor, action, subject_type, subject_id, project_id)
    select a.actor, a.action, 'build', a.id, a.project from accepted a
  ), gated as materialized (
    select a.project, a.provider, k.variable, queue_gate_of(a.project, k.variable) as gate
      from (select distinct a.project, a.provider from accepted a) a
      join provider_keys k on k.provider = a.provider
  ), queued as (
    insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
    select a.id, 'build', a.project, coalesce(a.spec ->> 'concurrencyKey', ''), coalesce(g.variable, ''), coalesce(g.gate, ''),
           -- As queue_needs_of_build has it, without a call for most builds.
           case when coalesce(jsonb_array_length(a.spec -> 'runsOn'), 0) = 0 then array['provider:' || a.provider]
                else queue_needs_of_build(a.provider, a.spec -> 'runsOn') end,
           a.priority, v_now, coalesce(a.run_after, v_now)
      from accepted a
      left join gated g on g.project = a.project and g.provider = a.provider
  )
  select d.n, d.outcome, d.build_count + d.place, d.holder, v_now from decided d;
end $$;

-- The same, and this worker takes what it has places for, with the same commit: of all that waits, as any claim. Its builds
-- come as rows that have `claimed` only, and the last of these is null where there may be more: see claim_builds, which has
-- the arguments from p_labels on.
-- It holds projects, so it waits neither for its worker's row nor for another claim: it takes nothing then, and there may be
-- more.
create function accept_and_claim_builds(
  p_locks uuid[], p_waits boolean, p_ids uuid[], p_projects uuid[], p_versions integer[], p_keys text[],
  p_hashes text[], p_specs jsonb[], p_sources text[], p_retries uuid[], p_schedules uuid[], p_scheduled timestamptz[],
  p_actors text[], p_actions text[], p_traces text[], p_worker uuid, p_labels text[], p_max integer, p_only uuid[],
  p_lease_seconds integer, p_stagger_seconds integer, p_started jsonb, p_held jsonb
) returns table (n integer, outcome text, accepted_number integer, holder uuid, at timestamptz(3), claimed build_audit)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  v_claims boolean;
begin
  return query
    select a.*, null::build_audit
      from accept_builds(p_locks, p_waits, p_ids, p_projects, p_versions, p_keys, p_hashes, p_specs, p_sources,
                         p_retries, p_schedules, p_scheduled, p_actors, p_actions, p_traces) a;
  perform from workers where id = p_worker for key share skip locked;
  v_claims := found;
  if v_claims then
    perform from queue_state for update skip locked;
    v_claims := found;
  end if;
  if v_claims then
    return query
      select null::integer, null::text, null::integer, null::uuid, null::timestamptz(3), c
        from claim_builds(p_worker, p_labels, p_max, p_only, p_lease_seconds, p_stagger_seconds, p_started, p_held) c;
  else
    return next;
  end if;
end $$;
