-- Workers that reach only the API.

-- What the last entry of the attempt was answered, for whoever asks again because the answer was lost.
alter table build_audit add column ledger_answer jsonb;
