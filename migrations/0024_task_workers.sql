-- Which of Slipway's own workers has a task: one that it has been given and never heard of goes back at once.
alter table tasks
  add column worker_id uuid references workers,
  add check (worker_id is null or status = 'RUNNING');
create index tasks_worker on tasks (worker_id) where worker_id is not null;
