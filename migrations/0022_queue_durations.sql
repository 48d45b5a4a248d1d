-- How long the builds of a project usually take, which those that wait are told: its last ones, whatever else there is.
create index build_audit_project_finished on build_audit (project_id, finished_at desc) where finished_at is not null;
