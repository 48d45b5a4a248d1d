-- What every new build, claim and attempt pays for, and nobody needs.

-- A foreign key looks up and locks the row that it names, for each row that names it. Here whoever writes holds that row
-- already: `accept_builds` that of the project, a claim those of its worker and its builds; a build that is repeated is never
-- removed, and ids never change. What a key keeps beside that is kept by whoever removes a row that is named.
alter table build_audit
  drop constraint build_audit_project_id_fkey,
  drop constraint build_audit_worker_id_fkey,
  drop constraint build_audit_retry_of_fkey;
alter table build_attempts
  drop constraint build_attempts_build_id_fkey,
  drop constraint build_attempts_worker_id_fkey;

-- Arguments: a table, and the column in which it names a row of the trigger's. The row is locked before this is called: who
-- holds it, and is about to name it, is waited for.
create function refuse_removal() returns trigger language plpgsql as $$
declare
  v_named boolean;
begin
  execute format('select exists (select from %I where %I = $1)', tg_argv[0], tg_argv[1]) into v_named using old.id;
  if v_named then
    raise foreign_key_violation using
      message = format('row %s of %s is named by %s (%s)', old.id, tg_table_name, tg_argv[0], tg_argv[1]);
  end if;
  return old;
end $$;

create trigger projects_of_builds before delete on projects
  for each row execute function refuse_removal('build_audit', 'project_id');
create trigger workers_of_builds before delete on workers
  for each row execute function refuse_removal('build_audit', 'worker_id');
create trigger workers_of_attempts before delete on workers
  for each row execute function refuse_removal('build_attempts', 'worker_id');
create trigger build_audit_of_attempts before delete on build_audit
  for each row execute function refuse_removal('build_attempts', 'build_id');
create trigger build_audit_of_retries before delete on build_audit
  for each row execute function refuse_removal('build_audit', 'retry_of');

-- One index of what waits or runs, instead of two.
drop index build_audit_pending, build_audit_open;
create index build_audit_open on build_audit (project_id, branch, id) include (status) where finished_at is null;

-- A project is changed by each accept, claim and end of its builds, and an attempt once, when it ends: with room for that on
-- their pages, the indexes stay as they are.
alter table projects set (fillfactor = 50);
alter table build_attempts set (fillfactor = 50);

-- An index less of what each build writes: most have no labels. Who looks for some says that there are any.
drop index build_audit_labels;
create index build_audit_labels on build_audit using gin ((spec -> 'labels') jsonb_path_ops) where spec -> 'labels' <> '{}';

-- Entries are found by time and then by id, and nobody looks for an id alone. Nearly all of them say that a build was
-- started: whoever looks for these meets them by time.
alter table audit_log drop constraint audit_log_pkey, add primary key (at, id);
drop index audit_log_at, audit_log_action;
create index audit_log_action on audit_log (action, at, id) where action <> 'startBuild';
