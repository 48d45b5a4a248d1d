/** How the queue is doing right now: in all, by why builds wait, and by project, agent or label. */
import { type RawBuilder, sql } from 'kysely';
import { type BuildFilter, filterBuilds } from '../builds/filter-builds.ts';
import type { Database } from '../database/database.ts';
import { liveWorkers } from './live-workers.ts';
import { type WaitReason, waitReasons } from './wait-reasons.ts';

export interface QueueFigures {
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
  readonly waitP50Ms: number | null;
  readonly waitP95Ms: number | null;
}

export interface QueueStats extends QueueFigures {
  readonly workersOnline: number;
}

/** The figures of one project, agent, or value of a label. */
export interface QueueShare extends QueueFigures {
  readonly name: string;
}

export interface WaitCount {
  readonly code: WaitReason;
  readonly count: number;
}

/** Which builds are counted. */
export type QueueFilter = Pick<BuildFilter, 'projectIds' | 'providers' | 'labels'>;

export type QueueGrouping = { readonly by: 'project' | 'provider' } | { readonly by: 'label'; readonly key: string };

/** Minutes. */
const WINDOW = 10;

const RECENTLY = sql`started_at > now() - make_interval(mins => ${WINDOW})`;
const WAIT_MS = sql`greatest(0, (extract(epoch from started_at - greatest(created_at, run_after)) * 1000)::float8)`;
const COULD_START = sql`status = 'PENDING' and (run_after is null or run_after <= now())`;

/** The columns of QueueFigures over a group of `builds`. */
const FIGURES = sql`
  count(*) filter (where ${COULD_START}) as waiting,
  count(*) filter (where status = 'PENDING' and run_after > now()) as scheduled,
  count(*) filter (where status = 'RUNNING') as running,
  min(created_at) filter (where ${COULD_START}) as "oldestQueuedAt",
  count(*) filter (where finished_at > now() - make_interval(mins => ${WINDOW}))::float8 / ${WINDOW} as "throughputPerMinute",
  avg(${WAIT_MS}) filter (where ${RECENTLY}) as "averageWaitMs",
  percentile_cont(0.5) within group (order by ${WAIT_MS}) filter (where ${RECENTLY}) as "waitP50Ms",
  percentile_cont(0.95) within group (order by ${WAIT_MS}) filter (where ${RECENTLY}) as "waitP95Ms"`;

/** What waits, what runs, and what has ended lately: each is the part of an index, whatever the table holds. */
function counted(db: Database, filter: QueueFilter, more: RawBuilder<unknown> = sql`null::text`): RawBuilder<unknown> {
  const columns = ['status', 'created_at', 'run_after', 'started_at', 'finished_at'] as const;
  const some = () => filterBuilds(db.selectFrom('build_audit').select(columns).select(more.as('name')), filter);
  return sql`(${some().where('status', 'in', ['PENDING', 'RUNNING'])} union all ${some().where(
    sql<boolean>`finished_at > now() - make_interval(mins => ${WINDOW})`,
  )}) as builds`;
}

/** `workerTimeoutSeconds`: a worker that was silent for longer counts no more. */
export async function readQueueStats(
  db: Database,
  { filter, workerTimeoutSeconds }: { readonly filter: QueueFilter; readonly workerTimeoutSeconds: number },
): Promise<QueueStats> {
  const { rows } = await sql<QueueStats>`
    select (select count(*) from (${liveWorkers(workerTimeoutSeconds)}) live) as "workersOnline", figures.*
      from (select ${FIGURES} from ${counted(db, filter)}) figures`.execute(db);
  if (!rows[0]) throw new Error('aggregates without groups have one row');
  return rows[0];
}

/** Those with the most that waits first. Builds that do not have the label are in no share. */
export async function readQueueShares(
  db: Database,
  {
    filter,
    grouping,
    limit,
  }: { readonly filter: QueueFilter; readonly grouping: QueueGrouping; readonly limit: number },
): Promise<QueueShare[]> {
  const { rows } = await sql<QueueShare>`
    select name, ${FIGURES} from ${counted(db, filter, nameOf(grouping))} where name is not null group by name
     order by 2 desc, running desc, name limit ${limit}`.execute(db);
  return rows;
}

function nameOf(grouping: QueueGrouping): RawBuilder<unknown> {
  if (grouping.by === 'label') return sql`spec -> 'labels' ->> ${grouping.key}`;
  return grouping.by === 'project' ? sql`project_id::text` : sql`provider`;
}

/** The builds that wait by why they do, the most frequent reason first; reasons that none has are left out. */
export async function countWaits(db: Database, filter: QueueFilter): Promise<WaitCount[]> {
  const { rows } = await sql<WaitCount>`
    with ${waitReasons(db, filter)}
    select code, count(*)::int as count from reasons group by code order by count(*) desc, code`.execute(db);
  return rows;
}
