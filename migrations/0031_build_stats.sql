-- Figures of finished builds, rolled up by hour, day and month (UTC) of when they were accepted, so that statistics do not
-- read the builds. They are an image of build_audit: what is written there, by whomever, is noted in the same
-- transaction by appending to build_stats_deltas, and folded into build_stats later. Nobody who finishes a build waits for
-- another one. Whoever reads adds the deltas, and the builds that are not finished.

-- Milliseconds that a build ran; of those that ended well or badly only.
create function build_duration_ms(p_status text, p_started timestamptz, p_finished timestamptz) returns bigint
language sql immutable return
  case when p_status in ('COMPLETED', 'FAILED') then (date_part('epoch', p_finished - p_started) * 1000)::bigint end;

-- Milliseconds from when it could start to its first claim.
create function build_wait_ms(p_created timestamptz, p_run_after timestamptz, p_started timestamptz) returns bigint
language sql immutable return
  case when p_started is not null
       then greatest(0, (date_part('epoch', p_started - greatest(p_created, p_run_after)) * 1000)::bigint) end;

-- Millionths of a dollar.
create function build_cost_micros(p_usage jsonb) returns bigint language sql immutable return
  case when jsonb_typeof(p_usage -> 'costUsd') = 'number'
       then round(least((p_usage ->> 'costUsd')::numeric, 1e9) * 1e6)::bigint end;

-- The bin of a duration: bin b > 0 holds those from 1.04 ^ (b - 1) ms up to 1.04 ^ b, and bin 0 less than a millisecond.
-- So 1.04 ^ (b - 0.5) is within 2 % of each.
create function build_stats_bin(p_ms bigint) returns smallint language sql immutable return
  case when p_ms < 1 then 0 else 1 + floor(ln(p_ms::float8) / ln(1.04::float8)) end::smallint;

create table build_stats_deltas (
  project_id   uuid not null,
  provider     text not null,
  template     text,
  created_at   timestamptz(3) not null,
  status       text not null,
  duration_ms  bigint,
  wait_ms      bigint,
  cost_micros  bigint,
  -- 1: it counts from now on; -1: it no longer does.
  n            smallint not null check (n in (1, -1))
-- Nearly all rows are gone within seconds: whoever folds them vacuums, too.
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

create table build_stats (
  -- What the figures are of, with '' and the nil uuid in columns that do not matter, and '' for no template:
  -- ALL; PROVIDER; TEMPLATE; PARTS: by provider and template; PROJECT; PROJECT_PARTS: of a project by both.
  scope        text collate "C" not null
               check (scope in ('ALL', 'PROVIDER', 'TEMPLATE', 'PARTS', 'PROJECT', 'PROJECT_PARTS')),
  project_id   uuid not null,
  -- PROJECT_PARTS has days only: its hours would be nearly as many as the builds.
  level        text collate "C" not null check (level in ('HOUR', 'DAY', 'MONTH')),
  bucket       timestamptz(3) not null,
  provider     text collate "C" not null,
  template     text collate "C" not null,
  completed    bigint not null,
  failed       bigint not null,
  cancelled    bigint not null,
  -- How many have the figure, and its sum.
  durations    bigint not null,
  duration_ms  bigint not null,
  waits        bigint not null,
  wait_ms      bigint not null,
  costs        bigint not null,
  cost_micros  bigint not null,
  -- The histogram of durations: bins that are not empty, in order, and how many each holds.
  bins         smallint[] not null,
  counts       integer[] not null,
  primary key (scope, project_id, level, bucket, provider, template)
) with (fillfactor = 80);

create index build_stats_bucket on build_stats (bucket);

-- One row. Where builds have finished before this migration, rollups are read only when all of these are in them.
create table build_stats_state (
  only_row  boolean primary key default true check (only_row),
  filled    boolean not null,
  -- The next day to be filled; null before the first.
  next_day  date
);

insert into build_stats_state (filled)
select not exists (select from build_audit where finished_at is not null);

create function note_build_stats() returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' and old.finished_at is not null then
    insert into build_stats_deltas
    values (old.project_id, old.provider, old.template, old.created_at, old.status,
            build_duration_ms(old.status, old.started_at, old.finished_at),
            build_wait_ms(old.created_at, old.run_after, old.started_at), build_cost_micros(old.usage), -1);
  end if;
  if tg_op <> 'DELETE' and new.finished_at is not null then
    insert into build_stats_deltas
    values (new.project_id, new.provider, new.template, new.created_at, new.status,
            build_duration_ms(new.status, new.started_at, new.finished_at),
            build_wait_ms(new.created_at, new.run_after, new.started_at), build_cost_micros(new.usage), 1);
  end if;
  return null;
end $$;

-- By row, with a condition: a trigger by statement with its rows would be paid at every flush of events, too. A short one, as each
-- statement that may change what counts reads it anew; what has ended and is written again as it was adds one and takes one.
create trigger build_stats_insert after insert on build_audit for each row
  when (new.finished_at is not null) execute function note_build_stats();
create trigger build_stats_delete after delete on build_audit for each row
  when (old.finished_at is not null) execute function note_build_stats();
create trigger build_stats_update
  after update of project_id, spec, status, usage, run_after, created_at, started_at, finished_at on build_audit
  for each row when (old.finished_at is not null or new.finished_at is not null)
  execute function note_build_stats();

create function forget_build_stats() returns trigger language plpgsql as $$
begin
  delete from build_stats_deltas;
  delete from build_stats;
  return null;
end $$;

create trigger build_stats_truncate after truncate on build_audit for each statement
  execute function forget_build_stats();

-- Builds as the figures of each scope and bucket that they count in; bins are in order where p_from is given.
--   p_facts  a query with the columns of build_stats_deltas; $1 and $2 in it are p_from and p_to
create function build_stats_roll_up(p_facts text, p_from timestamptz, p_to timestamptz) returns setof build_stats
language plpgsql set work_mem = '64MB' set jit = off as $$
declare
  of_all constant text := '(hour), (day), (month), (provider, hour), (provider, day), (provider, month), (template, hour),
    (template, day), (template, month), (provider, template, hour), (provider, template, day), (provider, template, month)';
  of_one constant text := '(project_id, hour), (project_id, day), (project_id, month), (project_id, provider, template, day)';
begin
  -- Sums are of whole numbers below 2 ^ 53, so as floats they are exact, and several times as fast.
  return query execute format($query$
    with fact as (%1$s), noted as materialized (
      select project_id, provider collate "C" as provider, coalesce(template, '') collate "C" as template,
             date_trunc('hour', created_at, 'UTC') as hour, n::integer as n, status, duration_ms, wait_ms, cost_micros
        from fact
    ), leaf as (
      select project_id, provider, template, hour, date_trunc('day', hour, 'UTC') as day,
             date_trunc('month', hour, 'UTC') as month, sum(n) filter (where status = 'COMPLETED')::float8 as completed,
             sum(n) filter (where status = 'FAILED')::float8 as failed,
             sum(n) filter (where status = 'CANCELLED')::float8 as cancelled,
             sum(n) filter (where duration_ms is not null)::float8 as durations,
             sum((n * duration_ms)::float8) as duration_ms, sum(n) filter (where wait_ms is not null)::float8 as waits,
             sum((n * wait_ms)::float8) as wait_ms, sum(n) filter (where cost_micros is not null)::float8 as costs,
             sum((n * cost_micros)::float8) as cost_micros
        from noted group by 1, 2, 3, 4
    ), bin as (
      select project_id, provider, template, hour, date_trunc('day', hour, 'UTC') as day,
             date_trunc('month', hour, 'UTC') as month, build_stats_bin(duration_ms) as bin, sum(n)::float8 as n from noted where duration_ms is not null group by 1, 2, 3, 4, 7
    ), summed as (
      select grouping(project_id, provider, template) as free, grouping(hour, day, month) as others,
             coalesce(project_id, '00000000-0000-0000-0000-000000000000') as project_id,
             coalesce(provider, '') as provider, coalesce(template, '') as template, coalesce(hour, day, month) as bucket,
             sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled, sum(durations) as durations,
             sum(duration_ms) as duration_ms, sum(waits) as waits, sum(wait_ms) as wait_ms, sum(costs) as costs,
             sum(cost_micros) as cost_micros from leaf group by grouping sets (%2$s, %3$s)
    ), placed as (
      select grouping(provider, template) as free, grouping(hour, day, month) as others, project_id,
             coalesce(provider, '') as provider, coalesce(template, '') as template, coalesce(hour, day, month) as bucket,
             bin, sum(n)::integer as n from bin group by bin, grouping sets (%3$s) having sum(n) <> 0
       union all
      select 4 + grouping(provider, template), grouping(hour, day, month), '00000000-0000-0000-0000-000000000000'::uuid,
             coalesce(provider, ''), coalesce(template, ''), coalesce(hour, day, month), bin, sum(n)::integer
        from (select provider, template, hour, day, month, bin, sum(n) as n from bin group by 1, 2, 3, 4, 5, 6) shared
       group by bin, grouping sets (%2$s) having sum(n) <> 0
    ), histogram as (
      select project_id, bucket, template, provider, free, others, array_agg(bin %4$s) as bins, array_agg(n %4$s) as counts
        from placed group by 1, 2, 3, 4, 5, 6
    )
    select case free when 7 then 'ALL' when 5 then 'PROVIDER' when 6 then 'TEMPLATE' when 4 then 'PARTS'
                     when 3 then 'PROJECT' else 'PROJECT_PARTS' end collate "C",
           project_id, case others when 3 then 'HOUR' when 5 then 'DAY' else 'MONTH' end collate "C", bucket::timestamptz(3),
           provider, template, coalesce(completed, 0)::bigint, coalesce(failed, 0)::bigint, coalesce(cancelled, 0)::bigint,
           coalesce(durations, 0)::bigint, coalesce(duration_ms, 0)::bigint, coalesce(waits, 0)::bigint,
           coalesce(wait_ms, 0)::bigint, coalesce(costs, 0)::bigint, coalesce(cost_micros, 0)::bigint,
           coalesce(bins, '{}'), coalesce(counts, '{}')
      from summed left join histogram using (free, others, project_id, provider, template, bucket)$query$,
    p_facts, of_all, of_one, case when p_from is not null then 'order by bin' end)
    using p_from, p_to;
end $$;

-- Folds at most p_limit deltas into the rollups. Returns whether there were others; null while somebody else folds. What comes
-- meanwhile waits for the next time: with others it costs less.
create function build_stats_fold(p_limit integer) returns boolean language plpgsql as $$
declare
  v_more boolean;
begin
  if not pg_try_advisory_xact_lock(hashtext('slipway:stats')) then
    return null;
  end if;
  v_more := exists (select from build_stats_deltas offset p_limit);
  insert into build_stats
  select a.scope, a.project_id, a.level, a.bucket, a.provider, a.template,
         a.completed + coalesce(s.completed, 0), a.failed + coalesce(s.failed, 0),
         a.cancelled + coalesce(s.cancelled, 0), a.durations + coalesce(s.durations, 0),
         a.duration_ms + coalesce(s.duration_ms, 0), a.waits + coalesce(s.waits, 0),
         a.wait_ms + coalesce(s.wait_ms, 0), a.costs + coalesce(s.costs, 0), a.cost_micros + coalesce(s.cost_micros, 0),
         coalesce(histogram.bins, '{}'), coalesce(histogram.counts, '{}')
    from build_stats_roll_up(format(
           'delete from build_stats_deltas where ctid = any(array(select ctid from build_stats_deltas limit %s))
              and $1::timestamptz is null and $2::timestamptz is null returning *', p_limit), null, null) a
    left join build_stats s using (scope, project_id, level, bucket, provider, template)
   cross join lateral (
     select array_agg(bin order by bin) as bins, array_agg(n order by bin) as counts from (
       select bin, sum(n)::integer as n from (
         select unnest(a.bins) as bin, unnest(a.counts) as n union all select unnest(s.bins), unnest(s.counts)
       ) both_of_them group by bin having sum(n) <> 0
     ) summed
   ) histogram
  on conflict (scope, project_id, level, bucket, provider, template) do update
     set completed = excluded.completed, failed = excluded.failed, cancelled = excluded.cancelled,
         durations = excluded.durations, duration_ms = excluded.duration_ms, waits = excluded.waits,
         wait_ms = excluded.wait_ms, costs = excluded.costs, cost_micros = excluded.cost_micros,
         bins = excluded.bins, counts = excluded.counts;
  return v_more;
end $$;

-- What the rollups should hold of the buckets from p_from on and before p_to. The caller keeps others from folding.
--   p_level  DAY: by the builds, hours and days, without what is not folded yet; MONTH: by the days
create function build_stats_counted(p_level text, p_from timestamptz, p_to timestamptz) returns setof build_stats
language plpgsql as $$
begin
  if p_level = 'DAY' then
    -- One statement sees builds and deltas as of the same moment.
    return query select * from build_stats_roll_up(
      'select project_id, provider, template, created_at, status,
              build_duration_ms(status, started_at, finished_at) as duration_ms,
              build_wait_ms(created_at, run_after, started_at) as wait_ms, build_cost_micros(usage) as cost_micros, 1 as n
         from build_audit where finished_at is not null and created_at >= $1 and created_at < $2
       union all
       select project_id, provider, template, created_at, status, duration_ms, wait_ms, cost_micros, -n
         from build_stats_deltas where created_at >= $1 and created_at < $2', p_from, p_to) rolled_up
     where level <> 'MONTH';
  else
    return query
      with day as (
        select * from build_stats where level = 'DAY' and scope <> 'PROJECT_PARTS' and bucket >= p_from and bucket < p_to
      ), histogram as (
        select scope, project_id, provider, template, array_agg(bin order by bin) as bins,
               array_agg(n order by bin) as counts
          from (select scope, project_id, provider, template, bin, sum(n)::integer as n
                  from day, unnest(bins, counts) as held (bin, n) group by 1, 2, 3, 4, 5) summed group by 1, 2, 3, 4
      )
      select scope, project_id, 'MONTH', p_from::timestamptz(3), provider, template, sum(completed)::bigint,
             sum(failed)::bigint, sum(cancelled)::bigint, sum(durations)::bigint, sum(duration_ms)::bigint,
             sum(waits)::bigint, sum(wait_ms)::bigint, sum(costs)::bigint, sum(cost_micros)::bigint,
             coalesce(histogram.bins, '{}'), coalesce(histogram.counts, '{}')
        from day left join histogram using (scope, project_id, provider, template)
       group by 1, 2, 5, 6, histogram.bins, histogram.counts;
  end if;
end $$;

-- Compares the rollups of p_level (of DAY the hours, too) with what they should hold, and returns what differs. With p_apply
-- that replaces them. Builds go on meanwhile; only folding waits for the end of the caller's transaction.
create function build_stats_check(p_level text, p_from timestamptz, p_to timestamptz, p_apply boolean)
returns table (scope text, project_id uuid, level text, bucket timestamptz, provider text, template text,
               stored bigint, counted bigint) language plpgsql as $$
#variable_conflict use_column
begin
  perform pg_advisory_xact_lock(hashtext('slipway:stats'));
  return query
    with counted as materialized (
      -- A row of zeros is left where builds were deleted.
      select c.* from build_stats_counted(p_level, p_from, p_to) c
       where completed <> 0 or failed <> 0 or cancelled <> 0
    ), differing as materialized (
      select scope, project_id, level, bucket, provider, template, c.scope is not null as is_counted,
             s.completed + s.failed + s.cancelled as stored, c.completed + c.failed + c.cancelled as counted
        from counted c
        full join (select * from build_stats
                    where bucket >= p_from and bucket < p_to and (level = 'MONTH') = (p_level = 'MONTH')) s
       using (scope, project_id, level, bucket, provider, template)
       where c.scope is null and s.completed + s.failed + s.cancelled <> 0
          or c.scope is not null and row(c.*) is distinct from row(s.*)
    ), removed as (
      delete from build_stats s using differing d
       where p_apply and not d.is_counted
         and (s.scope, s.project_id, s.level, s.bucket, s.provider, s.template)
             = (d.scope, d.project_id, d.level, d.bucket, d.provider, d.template)
    ), replaced as (
      insert into build_stats
      select c.* from counted c join differing d using (scope, project_id, level, bucket, provider, template)
       where p_apply
      on conflict (scope, project_id, level, bucket, provider, template) do update
         set completed = excluded.completed, failed = excluded.failed, cancelled = excluded.cancelled,
             durations = excluded.durations, duration_ms = excluded.duration_ms, waits = excluded.waits,
             wait_ms = excluded.wait_ms, costs = excluded.costs, cost_micros = excluded.cost_micros,
             bins = excluded.bins, counts = excluded.counts
    )
    select scope, project_id, level, bucket, provider, template, coalesce(stored, 0), coalesce(counted, 0)
      from differing;
end $$;

-- Figures of builds by rollups, a row for each point that has any: point i begins at p_starts[i]. One plan for all ranges, as to make
-- it takes ten times as long as to run it.
--   p_projects, p_providers, p_template  null: any; a template is `name@version`, or `name` for every version
--   p_from, p_to    the builds that are asked for, by when they were accepted
--   p_first, p_last what the pieces are of. Where they differ from p_from and p_to builds are added or taken away one by one.
--   p_levels, p_firsts, p_lasts          pieces: rollups of a level whose buckets begin in a range
--   p_signs         1: they count; -1: they are taken away from others that hold too much
--   p_points        where they count; null: where they begin
create function read_build_stats(
  p_scope text, p_projects uuid[], p_providers text[], p_template text, p_starts timestamptz[],
  p_from timestamptz, p_to timestamptz, p_first timestamptz, p_last timestamptz,
  p_levels text[], p_firsts timestamptz[], p_lasts timestamptz[], p_signs integer[], p_points integer[])
returns table (point integer, total bigint, completed bigint, failed bigint, cancelled bigint, pending bigint,
               running bigint, durations bigint, duration_ms float8, waits bigint, wait_ms float8, costs bigint,
               cost_micros float8, bins text, counts text)
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
begin
  -- Sums are of whole numbers below 2 ^ 53, so as floats they are exact, and several times as fast.
  return query
    with build as (
      select 1 as n, status, created_at, run_after, started_at, finished_at, usage, provider, template from build_audit
       where p_projects is null and finished_at is null and created_at >= p_from and created_at < p_to
       union all
      select 1, status, created_at, run_after, started_at, finished_at, usage, provider, template from build_audit
       where project_id = any(p_projects) and finished_at is null and created_at >= p_from and created_at < p_to
       union all
      select sign, status, created_at, run_after, started_at, finished_at, usage, provider, template
        from (values (least(p_from, p_first), greatest(p_from, p_first), case when p_from < p_first then 1 else -1 end),
                     (least(p_to, p_last), greatest(p_to, p_last), case when p_last < p_to then 1 else -1 end)
             ) ragged (ragged_from, ragged_to, sign),
             lateral (
               select status, created_at, run_after, started_at, finished_at, usage, provider, template from build_audit
                where p_projects is null and ragged_from < ragged_to and finished_at is not null
                  and created_at >= ragged_from and created_at < ragged_to
                union all
               select status, created_at, run_after, started_at, finished_at, usage, provider, template from build_audit
                where project_id = any(p_projects) and ragged_from < ragged_to and finished_at is not null
                  and created_at >= ragged_from and created_at < ragged_to) ended
    ), fact as materialized (
      select created_at, n, status, build_duration_ms(status, started_at, finished_at) as duration_ms,
             build_wait_ms(created_at, run_after, started_at) as wait_ms, build_cost_micros(usage) as cost_micros
        from build
       where (p_providers is null or provider = any(p_providers))
         and (p_template is null or p_template in (template, split_part(template, '@', 1)))
       union all
      select created_at, n, status, duration_ms, wait_ms, cost_micros from build_stats_deltas
       where (p_projects is null or project_id = any(p_projects)) and created_at >= p_first and created_at < p_last
         and (p_providers is null or provider = any(p_providers))
         and (p_template is null or p_template in (template, split_part(template, '@', 1)))
    ), placed as (
      -- What is taken away may lie before the first point.
      select greatest(1, width_bucket(created_at, p_starts)) as point, n, status, duration_ms, wait_ms, cost_micros
        from fact
    ), rolled as materialized (
      select coalesce(at_point, greatest(1, width_bucket(bucket, p_starts))) as point, sign, completed, failed, cancelled, durations,
             duration_ms, waits, wait_ms, costs, cost_micros, bins, counts
        from unnest(p_levels, p_firsts, p_lasts, p_signs, p_points) piece (of_level, first, last, sign, at_point)
        join build_stats
          on scope = p_scope and project_id = any(coalesce(p_projects, '{00000000-0000-0000-0000-000000000000}'))
         and level = of_level and bucket >= first and bucket < last
       where (p_providers is null or provider = any(p_providers))
         and (p_template is null or p_template in (template, split_part(template, '@', 1)))
    ), held as (
      -- What few rollups hold is written down: to be added up elsewhere, ten times as fast.
      select point, bins::text as bins,
             case sign when 1 then counts::text else replace(replace(counts::text, '{', '-'), ',', ',-') end as counts
        from rolled where (select count(*) <= 2048 from rolled) and bins <> '{}'
       union all
      select point, string_agg(bin::text, ','), string_agg(n::text, ',') from (
        select point, bin, sum(sign * n) as n from rolled, unnest(bins, counts) as one (bin, n)
         where (select count(*) > 2048 from rolled) group by 1, 2
         union all
        select point, build_stats_bin(duration_ms), n from placed where duration_ms is not null
      ) every_bin group by point
    ), histogram as (
      select point, string_agg(bins, ',') as bins, string_agg(counts, ',') as counts from held group by point
    ), part as (
      select point, n as total, case when status = 'COMPLETED' then n else 0 end as completed,
             case when status = 'FAILED' then n else 0 end as failed,
             case when status = 'CANCELLED' then n else 0 end as cancelled,
             case when status = 'PENDING' then n else 0 end as pending,
             case when status = 'RUNNING' then n else 0 end as running,
             case when duration_ms is null then 0 else n end as durations, (n * duration_ms)::float8 as duration_ms,
             case when wait_ms is null then 0 else n end as waits, (n * wait_ms)::float8 as wait_ms,
             case when cost_micros is null then 0 else n end as costs, (n * cost_micros)::float8 as cost_micros
        from placed
       union all
      select point, sign * (completed + failed + cancelled), sign * completed, sign * failed, sign * cancelled, 0, 0,
             sign * durations, sign * duration_ms::float8, sign * waits, sign * wait_ms::float8, sign * costs,
             sign * cost_micros::float8
        from rolled
    ), counted as (
      select point, sum(total::float8)::bigint as total, sum(completed::float8)::bigint as completed,
             sum(failed::float8)::bigint as failed, sum(cancelled::float8)::bigint as cancelled, sum(pending)::bigint as pending,
             sum(running)::bigint as running, sum(durations::float8)::bigint as durations,
             coalesce(sum(duration_ms), 0) as duration_ms, sum(waits::float8)::bigint as waits,
             coalesce(sum(wait_ms), 0) as wait_ms, sum(costs::float8)::bigint as costs,
             coalesce(sum(cost_micros), 0) as cost_micros
        from part group by point
    )
    select counted.*, bins, counts from counted left join histogram using (point) where total > 0;
end $$;

-- Where there are many builds these indexes are made while Slipway runs, before the rollups are filled. The first is for
-- a project's builds of a time, the other for everybody's: it costs who writes nothing.
do $$ begin
  if (select count(*) <= 100000 from (select from build_audit limit 100001) first_ones) then
    create index build_audit_stats on build_audit (project_id, created_at) where finished_at is not null;
    create index build_audit_created on build_audit using brin (created_at) with (pages_per_range = 128);
  end if;
end $$;
