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

-- The same as the regular expressions that they replace: those cost more than anything else that is checked of a row, at each
-- of its updates.
alter table projects
  drop constraint projects_slug_check,
  add constraint projects_slug_check check (length(slug) between 1 and 63 and left(slug, 1) <> '-' and right(slug, 1) <> '-'
                                            and translate(slug, 'abcdefghijklmnopqrstuvwxyz0123456789-', '') = '');

-- Not validated: the earlier check has been. Of a large table it would take minutes.
alter table build_audit
  drop constraint build_audit_traceparent_check,
  add constraint build_audit_traceparent_check check (
    traceparent like '00-________________________________-________________-0_' and right(traceparent, 1) in ('0', '1')
    and translate(traceparent, '0123456789abcdef', '') = '---') not valid;

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

-- One build comes into being: as accept_builds has it, which calls it, under its settings.
create function accept_build(
  p_project uuid, p_waits boolean, p_id uuid, p_version integer, p_key text, p_hash text, p_spec jsonb, p_source text,
  p_retry uuid, p_schedule uuid, p_scheduled timestamptz, p_actor text, p_action text, p_trace text, p_now timestamptz,
  out n integer, out outcome text, out number integer, out holder uuid
) language plpgsql as $$
#variable_conflict use_column
declare
  v_project record;
  v_variable text;
  v_provider constant text := p_spec ->> 'provider';
  v_priority constant integer := p_spec ->> 'priority';
  v_run_after constant timestamptz(3) := p_spec ->> 'runAfter';
  v_patience constant text := current_setting('lock_timeout');
begin
  n := 1;
  if p_waits then
    select status, version, build_count, activity_seq into v_project from projects where id = p_project for no key update;
  else
    select status, version, build_count, activity_seq into v_project from projects where id = p_project
       for no key update skip locked;
    if not found then
      -- Most hold it for a commit: another build of the project begins or ends. This one holds nothing yet.
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
  update projects set build_count = v_project.build_count + 1, activity_seq = v_project.activity_seq + 1 where id = p_project;
  insert into build_audit (id, project_id, number, source, spec, priority, run_after, last_seq, idempotency_key, input_hash,
                           retry_of, schedule_id, scheduled_for, requested_by, traceparent, created_at)
  values (p_id, p_project, v_project.build_count + 1, p_source, p_spec, v_priority, v_run_after, 1, p_key, p_hash, p_retry,
          p_schedule, p_scheduled, p_actor, p_trace, p_now);
  insert into build_events (build_id, seq, attempt_no, type, at, data)
  values (p_id, 1, 0, 'QUEUED', clock_timestamp(),
          jsonb_build_object('runAfter', p_spec -> 'runAfter', 'retryOf', p_retry));
  insert into project_events (project_id, seq, build_id, build_seq, type, at)
  values (p_project, v_project.activity_seq + 1, p_id, 1, 'QUEUED', clock_timestamp());
  insert into audit_log (actor, action, subject_type, subject_id, project_id)
  values (p_actor, p_action, 'build', p_id, p_project);
  select variable into v_variable from provider_keys where provider = v_provider;
  insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
  values (p_id, 'build', p_project, coalesce(p_spec ->> 'concurrencyKey', ''), coalesce(v_variable, ''),
          case when v_variable is null then '' else queue_gate_of(p_project, v_variable) end,
          queue_needs_of_build(v_provider, p_spec -> 'runsOn'), v_priority, p_now, coalesce(v_run_after, p_now));
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
  -- Never later than it is: a claim in the same transaction is to find that they are due.
  v_now constant timestamptz(3) := date_trunc('milliseconds', now());
begin
  -- To begin a plan of all these tables costs one alone more than its rows do.
  if cardinality(p_ids) = 1 then
    return query select b.*, v_now from accept_build(
      p_projects[1], p_waits, p_ids[1], p_versions[1], p_keys[1], p_hashes[1], p_specs[1], p_sources[1], p_retries[1],
      p_schedules[1], p_scheduled[1], p_actors[1], p_actions[1], p_traces[1], v_now) b;
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
