-- How many of what a worker runs may be tasks: why a task waits depends on it. Null: of an earlier version, all.
alter table workers add column max_tasks integer check (max_tasks >= 0);
