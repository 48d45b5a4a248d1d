-- Workers that reach only the API.

-- What the last entry of the attempt was answered, for whoever asks again because the answer was lost.
alter table build_audit add column ledger_answer jsonb;

-- The token that speaks for a remote worker; null: it is beside the database.
alter table workers add column token_id uuid references api_tokens (id);
