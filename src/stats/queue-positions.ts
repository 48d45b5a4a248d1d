/**
 * How many builds are claimed before one that waits: an estimate from the queue's counters, without walking through it.
 *
 * A project's item starts at the turn that the project has when its earlier ones have started: turn + before / weight.
 * Every other project has started by then what its own turn and weight allow, and at most what it has. Of projects of equal
 * weight that is exact while nothing comes or is removed, nobody is held back (by a limit, or by who holds his project), and
 * one worker that takes next serves the same pools as another; with weights it is off by less than one for each project.
 * Beyond the first MAX_COUNTED items of a project its own part is interpolated.
 */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { liveWorkers } from './live-workers.ts';

/** Items of a project that are counted one by one. */
const MAX_COUNTED = 1_000;
/** Items that no claim has sorted in yet. */
const MAX_NEW = 10_000;
/** Turns are sums of fractions: what differs by less is equal. */
const EPSILON = 1e-6;

/** What the same workers could take instead of the targets, and how much of it waits in each project. */
const RIVALS = sql`
    rivals as materialized (
      select distinct s.kind, s.needs, p.needs as other
        from shapes s join (select kind, needs from queue_pools union select kind, needs from shapes) p on p.kind = s.kind
       where p.needs = s.needs or exists (select from live l where s.needs <@ l.labels and p.needs <@ l.labels)),
    pools as materialized (
      select r.kind, r.needs, p.id from rivals r join queue_pools p on p.kind = r.kind and p.needs = r.other),
    waiting as materialized (
      select kind, needs, project_id, pool_id, sum(sorted) as sorted, sum(sorted) + sum(new) as items
        from (select p.kind, p.needs, l.project_id, l.pool_id, l.waiting as sorted, 0 as new
                from pools p join queue_lanes l on l.pool_id = p.id where l.waiting > 0
              union all
              select p.kind, p.needs, l.project_id, l.pool_id, -count(*), 0
                from pools p join queue_lanes l on l.pool_id = p.id join queue_removals g on g.lane_id = l.id and not g.ran
               group by 1, 2, 3, 4
              union all
              select r.kind, r.needs, i.project_id, p.id, 0, count(*)
                from (select project_id, kind, needs, gate from queue_items
                       where lane_id is null and ready_at <= clock_timestamp() order by ready_at limit ${MAX_NEW}) i
                join rivals r on r.kind = i.kind and r.other = i.needs
                left join queue_gates g on g.gate = i.gate
                left join queue_pools p on p.kind = i.kind and p.needs = i.needs and p.gate = coalesce(g.gate, '')
               group by 1, 2, 3, 4) part
       group by 1, 2, 3, 4)`;

/**
 * A project's turn, counted from the clock of its shape: the next claim makes that the same for all shapes that its worker
 * serves (queue_claim). Nobody starts before the clock, and who has nothing there yet that may start comes a little after it
 * (queue_refresh). In a pool without a row of his, or one that is still to be made, his own turn is null, and not compared.
 */
const TURN = sql`
    min(greatest(t.turn + p.ahead - coalesce(p.closed_turn, c.turn), case when w.sorted > 0 and t.ready then 0 else 0.0625 end))`;

/** Of those of these builds that are in the queue; 1 is next. */
export async function readQueuePositions(db: Database, ids: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await sql<{ id: string; position: number }>`
    with live as materialized (select distinct labels from (${liveWorkers()}) w),
    targets as materialized (
      select id, project_id, rank, needs, kind from queue_items where id = any(${ids}::uuid[]) and claimed_at is null),
    shapes as materialized (select distinct kind, needs from targets),
    ${RIVALS},
    turns as materialized (
      select w.kind, w.needs, w.project_id, sum(w.items)::float8 as items, coalesce(min(o.weight), 1) as weight, ${TURN} as turn
        from waiting w
        left join queue_owners o on o.project_id = w.project_id
        left join queue_pools p on p.id = w.pool_id
        left join queue_shapes c on c.id = p.shape_id
        left join queue_turns t on t.pool_id = w.pool_id and t.project_id = w.project_id
       where w.items > 0 and o.paused_at is null
       group by 1, 2, 3),
    looked_at as materialized (
      select t.kind, t.needs, i.*
        from (select distinct kind, needs, project_id from targets) t cross join lateral (
          select id, project_id, rank, kind as own_kind, needs as own_needs, ready_at from queue_items
           where project_id = t.project_id and claimed_at is null order by rank, id limit ${MAX_COUNTED}) i),
    counted as materialized (
      select l.kind, l.needs, l.project_id, l.id, row_number() over (
               partition by l.kind, l.needs, l.project_id order by l.rank, l.id) - 1 as before
        from looked_at l join rivals r on r.kind = l.kind and r.needs = l.needs
             and r.kind = l.own_kind and r.other = l.own_needs
       where l.ready_at <= clock_timestamp()),
    placed as (
      select t.id, t.kind, t.needs, t.project_id, own.turn, own.weight, coalesce(c.before, e.seen
               + greatest(0, coalesce(own.items, 0) - e.seen) * least(1, greatest(0,
                   extract(epoch from t.rank - e.first_rank) / nullif(extract(epoch from e.last_rank - e.first_rank), 0))))
               as before
        from targets t
        left join turns own on own.kind = t.kind and own.needs = t.needs and own.project_id = t.project_id
        left join counted c on c.kind = t.kind and c.needs = t.needs and c.id = t.id
        left join lateral (
          select (select count(*) from counted n
                   where n.kind = t.kind and n.needs = t.needs and n.project_id = t.project_id) as seen,
                 (select max(rank) from looked_at n where n.project_id = t.project_id) as first_rank,
                 (select i.rank from queue_items i where i.project_id = t.project_id and i.claimed_at is null
                   order by i.rank desc, i.id desc limit 1) as last_rank
           where c.id is null) e on true)
    select p.id, (floor(coalesce(p.before, 0)) + 1 + coalesce((
             select sum(least(o.items, case when o.project_id < p.project_id then floor(ahead.items + ${EPSILON}::float8) + 1
                                            else ceil(ahead.items - ${EPSILON}::float8) end))
               from turns o, lateral (select (p.turn + p.before / p.weight - o.turn) * o.weight as items) ahead
              where o.kind = p.kind and o.needs = p.needs and o.project_id <> p.project_id
                and ahead.items > -${EPSILON}::float8), 0))::int as position
      from placed p`.execute(db);
  return new Map(rows.map(({ id, position }) => [id, position]));
}
