-- What every new build pays for, and nobody needs.

-- `accept_builds`, which alone adds builds, has locked their projects' rows, so a foreign key would look up each of them again.
-- What it keeps beside that is kept by whoever removes a project.
alter table build_audit drop constraint build_audit_project_id_fkey;

create function refuse_project_with_builds() returns trigger language plpgsql as $$
begin
  if exists (select from build_audit where project_id = old.id) then
    raise foreign_key_violation using message = format('project %s has builds', old.id), table = 'projects';
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;

create trigger projects_with_builds_delete before delete on projects
  for each row execute function refuse_project_with_builds();
create trigger projects_with_builds_update before update of id on projects
  for each row when (new.id <> old.id) execute function refuse_project_with_builds();

-- Whoever reads it checks all of it. Not validated: the earlier check has been.
alter table build_audit
  drop constraint build_audit_traceparent_check,
  add constraint build_audit_traceparent_check check (octet_length(traceparent) = 55) not valid;
