/** How the queue is doing right now. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

export interface QueueStats {
  /** Builds that could start now. */
  readonly waiting: number;
  /** Builds whose time (`runAfter`) has not come. */
  readonly scheduled: number;
  readonly running: number;
  /** When the oldest of the waiting builds was accepted. */
  readonly oldestQueuedAt: Date | null;
  /** Builds that ended in the last ten minutes, divided by ten. */
  readonly throughputPerMinute: number;
  /** Of the builds that were claimed in the last ten minutes: milliseconds from when they could start. */
  readonly averageWaitMs: number | null;
  readonly workersOnline: number;
}

/** Minutes. */
const WINDOW = 10;

/** `projectIds`: only builds of these projects; null means all. `workerTimeoutSeconds`: a silent worker counts no more. */
export async function readQueueStats(
  db: Database,
  { projectIds, workerTimeoutSeconds }: { projectIds: readonly string[] | null; workerTimeoutSeconds: number },
): Promise<QueueStats> {
  const ours = projectIds === null ? sql`true` : sql`project_id = any(${projectIds}::uuid[])`;
  // Each part reads an index of its own: the waiting and running builds are few, whatever the table holds.
  const { rows } = await sql<QueueStats>`
    select pending.*, running.*, recent.*, online.* from
      (select count(*) filter (where run_after is null or run_after <= now()) as waiting,
              count(*) filter (where run_after > now()) as scheduled,
              min(created_at) filter (where run_after is null or run_after <= now()) as "oldestQueuedAt"
         from build_audit where status = 'PENDING' and ${ours}) as pending,
      (select count(*) as running from build_audit where status = 'RUNNING' and ${ours}) as running,
      (select count(*) filter (where finished_at > now() - make_interval(mins => ${WINDOW}))::float8 / ${WINDOW}
                as "throughputPerMinute",
              avg(greatest(0, (extract(epoch from started_at - greatest(created_at, run_after)) * 1000)::float8))
                filter (where started_at > now() - make_interval(mins => ${WINDOW})) as "averageWaitMs"
         from build_audit
        where (status = 'RUNNING' or finished_at > now() - make_interval(mins => ${WINDOW})) and ${ours}) as recent,
      (select count(*) as "workersOnline" from workers
        where stopped_at is null and draining_at is null and cordoned_at is null
          and heartbeat_at > now() - make_interval(secs => ${workerTimeoutSeconds})) as online`.execute(db);
  if (!rows[0]) throw new Error('aggregates without groups have one row');
  return rows[0];
}
