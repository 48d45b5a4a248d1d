-- Claims go from host to host and, within one, from project to project.

create index deliveries_due_by_host_and_project on deliveries (host, project_id, due_at) where status = 'PENDING';
drop index deliveries_due_by_host;
