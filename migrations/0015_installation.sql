-- One row: names this database for good, so that what is made elsewhere on its behalf can be told from what belongs to
-- another one.
create table installation (
  is_only         boolean primary key default true check (is_only),
  id              uuid not null default gen_random_uuid()
);

insert into installation default values;
