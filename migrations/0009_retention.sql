-- Events and logs are kept for a limited time. Whole weeks go at once, by dropping their partitions.

-- Milestones are read by project; only retention asks for their age, and they are written in that order.
create index project_events_at on project_events using brin (at);

-- Drops the partitions of `p_parent` whose weeks ended more than `p_days` ago, and at most `p_batch` such rows of the
-- default partition. What belongs to a build that is not finished stays, and its week with it. A partition that is in
-- use for longer than the lock's timeout is left to the next call: whoever comes meanwhile waits no longer than that.
--   p_parent  build_events or build_logs
create function drop_old_builds(p_parent text, p_days integer, p_batch integer)
returns table (dropped text[], problems text[]) language plpgsql set lock_timeout = '1s' as $$
declare
  v_name text;
  v_week timestamp;
  v_from uuid;
  v_to uuid;
begin
  dropped := '{}';
  problems := '{}';
  perform pg_advisory_xact_lock(hashtext('slipway:partitions'));
  for v_name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = p_parent::regclass and c.relname ~ (p_parent || '_\d{4}w\d{2}$') order by c.relname
  loop
    v_week := to_date(right(v_name, 7), 'IYYY"w"IW');
    exit when (v_week + interval '1 week') at time zone 'UTC' + make_interval(days => p_days) > now();
    v_from := uuid_v7_floor(v_week at time zone 'UTC');
    v_to := uuid_v7_floor((v_week + interval '1 week') at time zone 'UTC');
    continue when exists (
      select from build_audit where status in ('PENDING', 'RUNNING') and id >= v_from and id < v_to);
    begin
      execute format('drop table %I', v_name);
      dropped := dropped || v_name;
    exception when lock_not_available then
      problems := problems || format('%s is in use', v_name);
    end;
  end loop;
  execute format('delete from %I where ctid = any(array(select old.ctid from %1$I old where old.build_id < $1
    and not exists (select from build_audit b where b.id = old.build_id and b.finished_at is null) limit $2))',
    p_parent || '_default') using uuid_v7_floor(now() - make_interval(days => p_days)), p_batch;
  return next;
end $$;
