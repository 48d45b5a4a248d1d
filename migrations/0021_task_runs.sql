-- Credentials with which an environment is deployed; the target is the environment's name.
alter table credentials
  drop constraint credentials_kind_check,
  add constraint credentials_kind_check
    check (kind in ('GIT', 'MODEL_API_KEY', 'CALLBACK_SIGNING', 'REGISTRY', 'DEPLOY'));
