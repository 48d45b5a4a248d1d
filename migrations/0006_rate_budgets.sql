-- What each token may still ask for, in points of cost. A cache: after a crash of Postgres every budget is full again.

create unlogged table rate_budgets (
  token_id     uuid primary key references api_tokens on delete cascade,
  points       double precision not null,
  refilled_at  timestamptz not null
);

-- A process takes a portion of a budget and spends it without asking again. `given_back` is what it has left of an
-- earlier one, `needs` what its callers wait for, in their order; `extra` is taken on top, but at most a quarter of what
-- is left, so that the last points stay where others find them. A need that does not fit is passed over. `at` is the
-- moment of the taking; null stands for now, read under the lock so that it never runs backwards between two takers.
create function take_rate_points(
  token uuid, given_back double precision, needs double precision[], extra double precision,
  capacity double precision, points_per_second double precision, at timestamptz,
  out granted double precision, out points_left double precision
) language plpgsql as $$
declare
  budget rate_budgets;
  need double precision;
  moment timestamptz;
begin
  insert into rate_budgets values (token, capacity, coalesce(at, clock_timestamp())) on conflict do nothing;
  select * into budget from rate_budgets where token_id = token for update;
  moment := coalesce(at, clock_timestamp());
  -- A clock that was set back adds nothing, and time goes on from there.
  points_left := least(capacity, budget.points + given_back
    + greatest(0, extract(epoch from moment - budget.refilled_at)) * points_per_second);
  granted := 0;
  foreach need in array needs loop
    if granted + need <= points_left then
      granted := granted + need;
    end if;
  end loop;
  granted := granted + greatest(0, least(extra, floor((points_left - granted) / 4)));
  points_left := points_left - granted;
  update rate_budgets set points = points_left, refilled_at = moment where token_id = token;
end $$;
