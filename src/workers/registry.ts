/** The pool: which workers there are, which of them live. */
import { sql } from 'kysely';
import { LEASE_SECONDS } from '../builds/lease.ts';
import type { Database } from '../database/database.ts';
import type { AgentReport } from './probe-agents.ts';
import { isProcessDead, readProcessKey } from './process-key.ts';

/** Workers of this host that a new one looks at, newest first. Killed containers leave one each that nobody can see dead. */
const MAX_NEIGHBOURS = 1_000;

export type WorkerStatus = 'ONLINE' | 'DRAINING' | 'OFFLINE';

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
  readonly startedAt: Date;
  readonly heartbeatAt: Date;
}

export interface NewWorker {
  readonly id: string;
  readonly name: string;
  /** That of its runtime. */
  readonly place: string;
  readonly version: string;
  readonly capacity: number;
  readonly agents: readonly AgentReport[];
}

/**
 * Writes the worker's row and returns the ids of workers of this host whose process is dead. One in another container
 * cannot be seen from here: its lease decides.
 */
export async function registerWorker(db: Database, worker: NewWorker): Promise<string[]> {
  const own = await readProcessKey();
  await insertWorker(db, worker, { process: own, tokenId: null });
  const dead = await findDead(await findNeighbours(db, worker), own);
  if (dead.length > 0) await markStopped(db, dead);
  return dead;
}

/** `tokenId`: of the token that speaks for a remote worker. A worker that is there already stays as it is. */
export async function insertWorker(
  db: Database,
  worker: NewWorker,
  { process, tokenId }: { readonly process: string; readonly tokenId: string | null },
): Promise<void> {
  await db
    .insertInto('workers')
    .values({
      id: worker.id,
      name: worker.name,
      host: worker.place,
      process,
      version: worker.version,
      capacity: worker.capacity,
      token_id: tokenId,
      ...agentColumns(worker.agents),
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
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
  await db.updateTable('workers').set(agentColumns(agents)).where('id', '=', id).execute();
}

function agentColumns(agents: readonly AgentReport[]) {
  const providers = agents.flatMap(({ name, version, keyed }) =>
    version === null ? [] : [{ provider: name, version, keyed }],
  );
  return { agents: JSON.stringify(agents), providers: JSON.stringify(providers) };
}

export async function markDraining(db: Database, id: string): Promise<void> {
  await db.updateTable('workers').set({ draining_at: sql<Date>`now()` }).where('id', '=', id).execute();
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
    .select(['id', 'name', 'version', 'capacity', 'providers', 'agents', 'started_at', 'heartbeat_at', 'draining_at'])
    .select(
      sql<boolean>`w.stopped_at is null and w.heartbeat_at > now() - make_interval(secs => ${LEASE_SECONDS})`.as(
        'alive',
      ),
    )
    .orderBy('w.id', 'desc');
  query = filter.ids
    ? query.where('w.id', 'in', filter.ids)
    : query.where('w.heartbeat_at', '>', sql<Date>`now() - interval '1 day'`).limit(1_000);
  const rows = await query.execute();
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    status: row.alive ? (row.draining_at ? 'DRAINING' : 'ONLINE') : 'OFFLINE',
    version: row.version,
    capacity: row.capacity,
    providers: row.providers,
    agents: row.agents,
    startedAt: row.started_at,
    heartbeatAt: row.heartbeat_at,
  }));
}
