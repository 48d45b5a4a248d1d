-- What attempts write, of many builds in one statement: their entries, their events, their ends.

-- A lease is renewed with nearly every entry: an index over its time made each of these updates touch all other indexes.
drop index build_audit_running;
create index build_audit_running on build_audit (id) where status = 'RUNNING';

-- Events of one build whose numbers it has taken already: the last of them has `last_seq`.
create type numbered_events as (
  build_id    uuid,
  project_id  uuid,
  attempt_no  integer,
  last_seq    bigint,
  -- [{ type, data, milestone }]
  events      jsonb
);

-- Stores events, and their milestones in the projects' activity. The caller holds the builds' rows; the projects' are locked
-- here, in the order of their ids, so nothing else of a build or project may be locked afterwards.
create function insert_build_events(p_batches numbered_events[]) returns void language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_milestones project_events[];
  v_projects uuid[];
begin
  with happened as materialized (
    select b.place, b.project_id, b.build_id, b.attempt_no, b.last_seq - jsonb_array_length(b.events) + e.n as seq,
           e.event ->> 'type' as type, e.event -> 'data' as data, (e.event ->> 'milestone')::boolean as is_milestone,
           clock_timestamp() as at
      from unnest(p_batches) with ordinality b (build_id, project_id, attempt_no, last_seq, events, place),
           jsonb_array_elements(b.events) with ordinality e (event, n)
  ), stored as (
    insert into build_events (build_id, seq, attempt_no, type, at, data)
    select build_id, seq, attempt_no, type, at, data from happened
  )
  select array_agg(row(project_id, nth, build_id, seq, type, at)::project_events),
         array_agg(project_id order by project_id) filter (where nth = 1)
    into v_milestones, v_projects
    from (select h.*, row_number() over (partition by project_id order by place, seq) as nth
            from happened h where is_milestone) milestone;
  if v_milestones is null then
    return;
  end if;
  with held as materialized (
    select id from projects where id = any(v_projects) order by id for no key update
  ), counted as (
    select m.project_id, count(*) as count from unnest(v_milestones) m group by m.project_id
  ), moved as (
    update projects p set activity_seq = p.activity_seq + c.count from counted c
     where p.id = c.project_id and p.id = any(array(select id from held))
    returning p.id, p.activity_seq - c.count as start
  )
  insert into project_events (project_id, seq, build_id, build_seq, type, at)
  select m.project_id, moved.start + m.seq, m.build_id, m.build_seq, m.type, m.at
    from unnest(v_milestones) m join moved on moved.id = m.project_id;
end $$;

-- As in 0003_events.sql.
create or replace function append_build_events(p_build uuid, p_attempt integer, p_events jsonb) returns bigint
language plpgsql as $$
declare
  v numbered_events;
begin
  update build_audit set last_seq = last_seq + jsonb_array_length(p_events)
   where id = p_build and (p_attempt is null or (attempt_no = p_attempt and status = 'RUNNING'))
  returning id, project_id, attempt_no, last_seq, p_events into v;
  if not found then
    return null;
  end if;
  perform insert_build_events(array[v]);
  return v.last_seq;
end $$;

-- Questions that nobody waits for any more: those of this name, or all. The caller holds the builds' rows.
create function withdraw_questions(p_builds uuid[], p_requests text[] default null)
returns table (build_id uuid, question_id uuid) language sql as $$
  update build_questions q set state = 'WITHDRAWN', closed_at = clock_timestamp()
   where q.build_id = any(p_builds) and q.state = 'OPEN' and (p_requests is null or q.request_id = any(p_requests))
  returning q.build_id, q.id
$$;

-- The end of a build. Read once: each look into JSON would take all of it apart anew.
create type build_end as (
  build_id   uuid,
  -- Where the end is an entry of the ledger.
  ledger_no  integer,
  status     text,
  failure    jsonb,
  result     jsonb,
  -- Of the attempt that is still open.
  outcome    text,
  event      jsonb,
  -- { id, url } where somebody is to be told.
  delivery   jsonb
);

create function read_build_ends(p_ends jsonb) returns setof build_end language sql stable as $$
  select e."buildId", null::integer, e.status, e.failure, e.result, e.outcome, e.event, e.delivery
    from jsonb_to_recordset(p_ends) e ("buildId" uuid, status text, failure jsonb, result jsonb, outcome text, event jsonb,
                                       delivery jsonb)
$$;

-- Ends builds, but for their events, which the caller stores: it holds the builds' rows.
--   p_closed the event of a question that is withdrawn, without its id
--   freed    one that a limit holds back may be able to start now
create function end_builds(p_ends build_end[], p_closed jsonb, out batches numbered_events[], out freed boolean)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_ids uuid[] := array(select e.build_id from unnest(p_ends) e);
  v_has_failed boolean;
  v_has_delivery boolean;
begin
  update build_messages set state = 'UNDELIVERED' where build_id = any(v_ids) and state = 'PENDING';
  with closed as (
    select w.build_id,
           jsonb_agg(jsonb_set(p_closed, '{data,questionId}', to_jsonb(w.question_id)) order by w.question_id) as events
      from withdraw_questions(v_ids) w group by w.build_id
  ), ended as (
    select e.*, nullif(e.result -> 'usage', 'null') as used, coalesce(c.events, '[]') || e.event as events
      from unnest(p_ends) e left join closed c on c.build_id = e.build_id
  ), finished as (
    update build_audit b
       set status = e.status, phase = 'DONE', finished_at = clock_timestamp(), lease_until = null, waiting_for = null,
           resume_at = null, ledger_no = coalesce(e.ledger_no, b.ledger_no), failure = e.failure,
           last_seq = b.last_seq + jsonb_array_length(e.events),
           -- Of a build that ends without a word of its agent, what was published is what it has used.
           usage = coalesce(e.used, b.usage),
           -- The duration is the database's, so that clocks of workers do not matter.
           result = e.result || jsonb_build_object(
             'usage', coalesce(e.used, b.usage),
             'durationMs', coalesce(floor(extract(epoch from clock_timestamp() - b.started_at) * 1000), 0))
      from ended e
     where b.id = e.build_id and b.id = any(v_ids)
    returning b.id, e.outcome, row(b.id, b.project_id, b.attempt_no, b.last_seq, e.events)::numbered_events as batch
  ), attempts as (
    -- Found one by one: as an array, each of them would be compared with all.
    update build_attempts a set ended_at = now(), outcome = f.outcome
      from finished f where a.build_id = f.id and a.ended_at is null
  )
  select (select array_agg(batch) from finished),
         exists (select from unnest(p_ends) e where e.status = 'FAILED'),
         exists (select from unnest(p_ends) e where e.delivery is not null)
    into batches, v_has_failed, v_has_delivery;
  -- A build that is completed has proved its commit and forgotten it.
  if v_has_failed then
    delete from intended_commits c
     where c.build_id = any(array(select e.build_id from unnest(p_ends) e where e.status = 'FAILED'));
  end if;
  freed := cardinality(queue_remove_many(v_ids)) > 0;
  if v_has_delivery then
    insert into deliveries (id, build_id, project_id, kind, url)
    select (e.delivery ->> 'id')::uuid, e.build_id, b.project_id, 'build.finished', e.delivery ->> 'url'
      from unnest(p_ends) e join unnest(batches) b on b.build_id = e.build_id
     where e.delivery is not null;
  end if;
end $$;

-- The same with their events; gives `freed`.
--   p_ends  [{ buildId, status, failure, result, outcome, event, delivery }]
create function finish_builds(p_ends jsonb, p_closed jsonb) returns boolean language plpgsql as $$
declare
  v record;
begin
  select * into v from end_builds(array(select read_build_ends(p_ends)), p_closed);
  perform insert_build_events(v.batches);
  return v.freed;
end $$;

create function usage_tokens(p_usage jsonb) returns numeric language sql immutable as $$
  select coalesce((p_usage ->> 'inputTokens')::numeric, 0) + coalesce((p_usage ->> 'outputTokens')::numeric, 0)
$$;

-- What becomes of an entry; the rest as it was on the row before.
create type ledger_fence as (
  build_id   uuid,
  -- APPLIED; KEPT: it was before, and `answer` was kept of it; SUPERSEDED: its attempt is over, or its number not the next.
  state      text,
  number     integer,
  answer     jsonb,
  phase      text,
  last_line  bigint,
  usage      jsonb
);

-- Entries of attempts, each of another build: p_builds, p_attempts and p_numbers say of all of them which they are. Locks the
-- builds in the order of their ids, then the projects in that of theirs, then what these have spent.
--   p_writes  [{ buildId, … }]: what is absent stays as it is; `logAt` and `logBytes` say where the lines are in p_logs
--   p_ends    as of finish_builds
-- The last column as of end_builds, of all of them. No row: there is no such build or, of several, somebody else holds it.
create function write_ledger(p_builds uuid[], p_attempts integer[], p_numbers integer[], p_writes jsonb, p_ends jsonb,
                             p_logs bytea, p_closed jsonb, p_lease_seconds integer)
returns table (build_id uuid, state text, answer jsonb, phase text, freed boolean) language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_fences ledger_fence[];
  v_batches numbered_events[];
  v_spend project_spend[];
  v_ended record;
  v_passed build_end[];
  v_freed boolean := false;
begin
  -- One that somebody holds does not hold up the others: it comes again alone, and waits.
  if cardinality(p_builds) = 1 then
    perform from build_audit where id = p_builds[1] for no key update;
  end if;
  select array_agg(row(b.id,
           case when b.attempt_no <> e.attempt_no then 'SUPERSEDED'
                when b.status = 'RUNNING' and b.ledger_no = e.number - 1 then 'APPLIED'
                when b.ledger_no = e.number then 'KEPT'
                else 'SUPERSEDED' end,
           e.number, b.ledger_answer, b.phase, b.last_line, b.usage)::ledger_fence)
    into v_fences
    from (select a.id, a.attempt_no, a.status, a.ledger_no, a.ledger_answer, a.phase, a.last_line, a.usage from build_audit a
           where a.id = any(p_builds) order by a.id for no key update of a skip locked) b
    join unnest(p_builds, p_attempts, p_numbers) e (id, attempt_no, number) on e.id = b.id;
  if p_writes <> '[]' then
    with entry as (
      select e.*, f.number, f.last_line, f.usage as used
        from jsonb_to_recordset(p_writes) e (
               "buildId" uuid, phase text, checkpoint jsonb, "setsBase" boolean, "baseSha" text, "pushedSha" text, usage jsonb,
               events jsonb, "lineCount" integer, "logAt" integer, "logBytes" integer, "printedAt" timestamptz)
        join unnest(v_fences) f on f.build_id = e."buildId" and f.state = 'APPLIED'
    ), written as (
      update build_audit b
         set ledger_no = e.number,
             -- That of a remote worker may be longer. A heartbeat passes by a row that is held, and over a slow network this
             -- row is held nearly all the time.
             lease_until = greatest(b.lease_until, now() + make_interval(secs => p_lease_seconds)),
             phase = coalesce(e.phase, b.phase),
             checkpoint = case when e.checkpoint is null then b.checkpoint else b.checkpoint || e.checkpoint end,
             base_sha = case when e."setsBase" then e."baseSha" else b.base_sha end,
             pushed_sha = coalesce(e."pushedSha", b.pushed_sha),
             usage = coalesce(e.usage, b.usage),
             last_line = b.last_line + coalesce(e."lineCount", 0),
             last_seq = b.last_seq + coalesce(jsonb_array_length(e.events), 0)
        from entry e
       where b.id = e."buildId" and b.id = any(p_builds)
      returning b.id, b.project_id, b.attempt_no, b.last_seq, e.events, e."pushedSha", e."lineCount", e."logAt",
                e."logBytes", e."printedAt", e.last_line, e.usage, e.used
    ), printed as (
      insert into build_logs (build_id, first_line, line_count, attempt_no, at, content)
      select w.id, w.last_line + 1, w."lineCount", w.attempt_no, w."printedAt",
             substring(p_logs from w."logAt" + 1 for w."logBytes")
        from written w where w."lineCount" > 0
    ), forgotten as (
      delete from intended_commits c using written w where c.build_id = w.id and w."pushedSha" is not null
    ), spent as (
      -- What came on top since the last report. Without a price, nobody knows what these tokens cost.
      select w.project_id, (w.usage ->> 'costUsd') is null as unpriced,
             greatest(0, (w.usage ->> 'costUsd')::numeric - coalesce((w.used ->> 'costUsd')::numeric, 0)) as cost,
             round(greatest(0, usage_tokens(w.usage) - usage_tokens(w.used))) as tokens
        from written w
       where w.usage is not null
    )
    select (select array_agg(row(w.id, w.project_id, w.attempt_no, w.last_seq, w.events)::numbered_events order by w.id)
              from written w where jsonb_array_length(w.events) > 0),
           (select array_agg(row(s.project_id, (now() at time zone 'UTC')::date, s.cost, s.tokens, s.unpriced)::project_spend
                             order by s.project_id)
              from (select project_id, sum(case when unpriced then 0 else cost end) as cost, sum(tokens) as tokens,
                           sum(case when unpriced then tokens else 0 end) as unpriced
                      from spent group by project_id) s
             where s.cost > 0 or s.tokens > 0)
      into v_batches, v_spend;
  end if;
  if p_ends <> '[]' then
    select array_agg(row(e.build_id, f.number, e.status, e.failure, e.result, e.outcome, e.event, e.delivery)::build_end)
      into v_passed
      from read_build_ends(p_ends) e join unnest(v_fences) f on f.build_id = e.build_id and f.state = 'APPLIED';
    if v_passed is not null then
      select * into v_ended from end_builds(v_passed, p_closed);
      v_batches := v_batches || v_ended.batches;
      v_freed := v_ended.freed;
    end if;
  end if;
  if v_batches is not null then
    perform insert_build_events(v_batches);
  end if;
  -- Last: builds of one project wait for each other's commit here.
  if v_spend is not null then
    insert into project_spend as spent select * from unnest(v_spend)
    on conflict (project_id, day) do update set
      cost_usd = spent.cost_usd + excluded.cost_usd,
      tokens = spent.tokens + excluded.tokens,
      unpriced_tokens = spent.unpriced_tokens + excluded.unpriced_tokens;
  end if;
  return query select f.build_id, f.state, f.answer, f.phase, v_freed from unnest(v_fences) f;
end $$;

-- The row of queue_state; false where somebody holds it for longer than a claim does. Whoever calls this may hold builds and
-- projects: a claim passes over these.
create function wait_for_claims() returns boolean language plpgsql set lock_timeout = '40ms' as $$
begin
  perform from queue_state for update;
  return true;
exception when lock_not_available then
  return false;
end $$;

-- The same, and this worker takes what it has places for, with the same commit: what ends leaves its place to another build. What
-- it is given comes as rows that have `claimed` only, and the last of these is null where there may be more: see claim_builds,
-- which has the arguments from p_labels on.
--   p_places  as many as it has without these ends; may be less than none
--   p_ending  the builds whose ends leave it one more each
-- It holds builds and projects, so it does not wait for its worker's row, for another claim no longer than wait_for_claims, and one
-- build alone not for whoever holds it: then, or without a place, nobody has looked, and the last row is NOT_CLAIMED.
create function write_ledger_and_claim(
  p_builds uuid[], p_attempts integer[], p_numbers integer[], p_writes jsonb, p_ends jsonb, p_logs bytea, p_closed jsonb,
  p_lease_seconds integer, p_worker uuid, p_labels text[], p_places integer, p_only uuid[], p_claim_seconds integer,
  p_stagger_seconds integer, p_started jsonb, p_held jsonb, p_ending uuid[]
) returns table (build_id uuid, state text, answer jsonb, entry_phase text, freed boolean, claimed build_audit)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  v record;
  v_places integer := p_places;
  v_claims boolean := true;
begin
  if cardinality(p_builds) = 1 then
    perform from build_audit where id = p_builds[1] for no key update skip locked;
    v_claims := found;
  end if;
  if v_claims then
    for v in select * from write_ledger(p_builds, p_attempts, p_numbers, p_writes, p_ends, p_logs, p_closed, p_lease_seconds) loop
      build_id := v.build_id;
      state := v.state;
      answer := v.answer;
      entry_phase := v.phase;
      freed := v.freed;
      v_places := v_places + (v.state = 'APPLIED' and v.build_id = any(p_ending))::integer;
      return next;
    end loop;
    v_claims := v_places > 0;
  end if;
  if v_claims then
    perform from workers where id = p_worker for key share skip locked;
    v_claims := found and wait_for_claims();
  end if;
  if v_claims then
    return query
      select null::uuid, null::text, null::jsonb, null::text, null::boolean, c
        from claim_builds(p_worker, p_labels, v_places, p_only, p_claim_seconds, p_stagger_seconds, p_started, p_held) c;
  else
    build_id := null;
    state := 'NOT_CLAIMED';
    return next;
  end if;
end $$;
