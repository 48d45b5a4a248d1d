/** Who takes something now: the workers that live and take new work, with their labels and free places. */
import { type RawBuilder, sql } from 'kysely';
import { LEASE_SECONDS } from '../builds/lease.ts';

/** A worker that was silent for longer than `timeoutSeconds` counts no more. Columns: name, labels, capacity, free, takes_tasks, remote. */
export function liveWorkers(timeoutSeconds: number = LEASE_SECONDS): RawBuilder<unknown> {
  return sql`
    select w.name, w.capacity, greatest(0, w.capacity - coalesce(held.items, 0))::int as free,
           w.labels, w.max_tasks is distinct from 0 as takes_tasks, w.token_id is not null as remote
      from workers w
      left join (select worker_id, count(*) as items from queue_items where claimed_at is not null group by worker_id) held
        on held.worker_id = w.id
     where w.stopped_at is null and w.draining_at is null and w.cordoned_at is null and w.evicted_at is null
       and w.heartbeat_at > now() - make_interval(secs => ${timeoutSeconds})`;
}
