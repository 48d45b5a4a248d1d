/** The pool: which workers there are, which of them live. */
import { type Selectable, sql } from 'kysely';
import { LEASE_SECONDS } from '../builds/lease.ts';
import type { Database } from '../database/database.ts';
import type { WorkersTable } from '../database/worker-tables.ts';
import type { Hardware } from './hardware.ts';
import type { AgentReport } from './probe-agents.ts';
import { isProcessDead, readProcessKey } from './process-key.ts';

/** Workers of this host that a new one looks at, newest first. Killed containers leave one each that nobody can see dead. */
const MAX_NEIGHBOURS = 1_000;

export type WorkerStatus = 'ONLINE' | 'CORDONED' | 'DRAINING' | 'EVICTED' | 'OFFLINE';

/** The label of an agent that can be run. */
const PROVIDER = 'provider:';

export interface WorkerRecord {
  readonly id: string;
  readonly name: string;
  readonly status: WorkerStatus;
  readonly version: string;
  readonly capacity: number;
  /** The agents that it can run. */
  readonly providers: readonly { readonly provider: string; readonly version: string }[];
  /** All that it knows, as they were probed last. */
  readonly agents: readonly AgentReport[];
  /** What it is good for: its agents, its runtime, and what its operator says. */
  readonly labels: readonly string[];
  /** Null: it did not say. */
  readonly hardware: Hardware | null;
  /** UUID of the token with which it works over the API; null: it is beside the database. */
  readonly tokenId: string | null;
  readonly startedAt: Date;
  readonly heartbeatAt: Date;
  readonly cordonedAt: Date | null;
  readonly cordonedBy: string | null;
  /** It is to end; what still runs then is let go of. */
  readonly drainUntil: Date | null;
  readonly evictedAt: Date | null;
}

export interface NewWorker {
  readonly id: string;
  readonly name: string;
  /** That of its runtime. */
  readonly place: string;
  readonly version: string;
  readonly capacity: number;
  /** How many of what it runs may be tasks; all if absent. */
  readonly tasks?: number | undefined;
  readonly agents: readonly AgentReport[];
  /** Of its runtime; by default it is told nowhere. */
  readonly runtime?: string | undefined;
  /** What its operator says. */
  readonly labels?: readonly string[] | undefined;
  readonly hardware?: Hardware | undefined;
}

/**
 * Writes the worker's row and returns the ids of workers of this host whose process is dead. One in another container
 * cannot be seen from here: its lease decides. Of one that was cordoned and comes again, with its name and in its place,
 * the cordon stays.
 */
export async function registerWorker(db: Database, worker: NewWorker): Promise<string[]> {
  const own = await readProcessKey();
  await insertWorker(db, worker, { process: own, tokenId: null });
  const dead = await findDead(await findNeighbours(db, worker), own);
  if (dead.length > 0) await markStopped(db, dead);
  return dead;
}

/**
 * `tokenId`: of the token that speaks for a remote worker. A worker that is there already stays as it is. Of one that was
 * cordoned and comes again, with its name and in its place, the cordon stays.
 */
export async function insertWorker(
  db: Database,
  worker: NewWorker,
  { process, tokenId }: { readonly process: string; readonly tokenId: string | null },
): Promise<void> {
  const inserted = await db
    .insertInto('workers')
    .values({
      id: worker.id,
      name: worker.name,
      host: worker.place,
      process,
      version: worker.version,
      capacity: worker.capacity,
      max_tasks: worker.tasks ?? null,
      token_id: tokenId,
      labels: await labelsOf(db, worker, tokenId),
      hardware: JSON.stringify(worker.hardware ?? {}),
      ...agentColumns(worker.agents),
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .returning('id')
    .executeTakeFirst();
  if (inserted) await keepCordon(db, worker);
}

/** A worker of the same place that has not said that it ended. */
export interface Neighbour {
  readonly id: string;
  readonly process: string;
}

export async function findNeighbours(db: Database, { id, place }: NewWorker): Promise<Neighbour[]> {
  return db
    .selectFrom('workers')
    .select(['id', 'process'])
    .where('host', '=', place)
    .where('stopped_at', 'is', null)
    .where('id', '!=', id)
    .orderBy('id', 'desc')
    .limit(MAX_NEIGHBOURS)
    .execute();
}

/** Those of them whose process is surely dead. `own`: the key of this process. */
export async function findDead(neighbours: readonly Neighbour[], own: string): Promise<string[]> {
  const dead: string[] = [];
  for (const { id, process } of neighbours) if (await isProcessDead(process, own)) dead.push(id);
  return dead;
}

/** What the worker's agents are now. */
export async function updateAgents(db: Database, id: string, agents: readonly AgentReport[]): Promise<void> {
  const others = sql`array(select l from unnest(labels) l where not starts_with(l, ${PROVIDER}))`;
  await db
    .updateTable('workers')
    .set({ ...agentColumns(agents), labels: sql<string[]>`${others} || ${agentLabels(agents)}::text[]` })
    .where('id', '=', id)
    .execute();
}

/** What an enrolment says of labels goes before what the worker says itself. */
async function labelsOf(
  db: Database,
  { labels = [], runtime, agents }: NewWorker,
  tokenId: string | null,
): Promise<string[]> {
  const enrolment = tokenId
    ? await db.selectFrom('worker_enrolments').select('labels').where('token_id', '=', tokenId).executeTakeFirst()
    : undefined;
  return [...(enrolment?.labels ?? labels), ...(runtime ? [`runtime:${runtime}`] : []), ...agentLabels(agents)];
}

function agentLabels(agents: readonly AgentReport[]): string[] {
  return agents.flatMap(({ name, version }) => (version === null ? [] : [`${PROVIDER}${name}`]));
}

async function keepCordon(db: Database, { id, place, name }: NewWorker): Promise<void> {
  await sql`
    update workers w set cordoned_at = before.cordoned_at, cordoned_by = before.cordoned_by
      from (select cordoned_at, cordoned_by from workers
             where host = ${place} and name = ${name} and id <> ${id} order by id desc limit 1) before
     where w.id = ${id} and before.cordoned_at is not null`.execute(db);
}

function agentColumns(agents: readonly AgentReport[]) {
  const providers = agents.flatMap(({ name, version, keyed }) =>
    version === null ? [] : [{ provider: name, version, keyed }],
  );
  return { agents: JSON.stringify(agents), providers: JSON.stringify(providers) };
}

export async function markDraining(db: Database, id: string): Promise<void> {
  const now = sql<Date>`coalesce(draining_at, now())`;
  await db.updateTable('workers').set({ draining_at: now }).where('id', '=', id).execute();
}

export async function markStopped(db: Database, ids: readonly string[]): Promise<void> {
  await db.updateTable('workers').set({ stopped_at: sql<Date>`now()` }).where('id', 'in', ids).execute();
}

/** Workers that were seen in the last day, newest first; or those with these ids. */
export async function findWorkers(
  db: Database,
  filter: { readonly ids?: readonly string[] } = {},
): Promise<WorkerRecord[]> {
  if (filter.ids?.length === 0) return [];
  let query = db
    .selectFrom('workers as w')
    .selectAll()
    .select(
      sql<boolean>`w.stopped_at is null and w.heartbeat_at > now() - make_interval(secs => ${LEASE_SECONDS})`.as(
        'alive',
      ),
    )
    .orderBy('w.id', 'desc');
  query = filter.ids
    ? query.where('w.id', 'in', filter.ids)
    : query.where('w.heartbeat_at', '>', sql<Date>`now() - interval '1 day'`).limit(1_000);
  return (await query.execute()).map((row) => ({
    id: row.id,
    name: row.name,
    status: statusOf(row),
    version: row.version,
    capacity: row.capacity,
    providers: row.providers,
    agents: row.agents,
    labels: row.labels,
    hardware: row.hardware.cpus === undefined ? null : (row.hardware as Hardware),
    tokenId: row.token_id,
    startedAt: row.started_at,
    heartbeatAt: row.heartbeat_at,
    cordonedAt: row.cordoned_at,
    cordonedBy: row.cordoned_by,
    drainUntil: row.drain_until,
    evictedAt: row.evicted_at,
  }));
}

function statusOf(row: Selectable<WorkersTable> & { readonly alive: boolean }): WorkerStatus {
  if (row.evicted_at) return 'EVICTED';
  if (!row.alive) return 'OFFLINE';
  if (row.draining_at) return 'DRAINING';
  return row.cordoned_at ? 'CORDONED' : 'ONLINE';
}
