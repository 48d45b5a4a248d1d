/** Takes due deliveries for one process to send. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { type Placed, type PlaceLimits, sharePlaces } from './share-places.ts';

/** Much longer than a try may take: a row that is still held then belonged to a process that died. */
const LEASE_SECONDS = 60;
/** Rows that are looked at in one claim. Whoever is not among them is so in a later one, when these are on their way. */
const MAX_CANDIDATES = 2_000;

export interface ClaimedDelivery extends Placed {
  readonly id: string;
  /** Exactly one of these two. */
  readonly buildId: string | null;
  readonly taskId: string | null;
  readonly url: string;
  /** In this round, before this one. */
  readonly tries: number;
  /** The database's time. */
  readonly claimedAt: Date;
  /** Also the fence: whoever claims it later holds another one. */
  readonly leaseUntil: Date;
  /** Of the build; see `build-trace.ts`. Null: of a task. */
  readonly traceparent: string | null;
}

export interface ClaimLimits extends PlaceLimits {
  /** On their way from this process. */
  readonly sending: readonly Placed[];
}

/**
 * What is due, shared fairly between projects and within the limits; rows that another process is about to take are
 * left to it.
 */
export async function claimDeliveries(db: Database, limits: ClaimLimits): Promise<ClaimedDelivery[]> {
  const chosen = sharePlaces(await findDue(db, limits), limits.sending, limits).map(({ id }) => id);
  if (chosen.length === 0) return [];
  const result = await sql<ClaimedDelivery>`
    with taken as (
      select d.id, b.traceparent from deliveries d left join build_audit b on b.id = d.build_id
       where d.id = any(${chosen}::uuid[]) and d.status = 'PENDING' and d.due_at <= now()
         and (d.lease_until is null or d.lease_until <= now())
       for update of d skip locked
    )
    update deliveries d set lease_until = now() + ${LEASE_SECONDS} * interval '1 second'
      from taken where d.id = taken.id
    returning d.id, d.build_id as "buildId", d.task_id as "taskId", d.project_id as "projectId", d.url, d.host, d.tries,
              now()::timestamptz(3) as "claimedAt", d.lease_until as "leaseUntil", taken.traceparent`.execute(db);
  return result.rows;
}

/**
 * The longest due of each project and host, in turns: first of all one of each. Goes through the index from host to
 * host and within one from project to project, so a long queue of one costs the others nothing.
 */
async function findDue(db: Database, { perHost, sending }: ClaimLimits): Promise<(Placed & { readonly id: string })[]> {
  const busy = [...Map.groupBy(sending, ({ host }) => host)].flatMap(([host, all]) =>
    all.length >= perHost ? [host] : [],
  );
  const result = await sql<Placed & { readonly id: string }>`
    with recursive queues as (
      (select host, project_id from deliveries where status = 'PENDING' order by host, project_id limit 1)
      union all
      select next.host, next.project_id from queues cross join lateral (
        select host, project_id from deliveries
         where status = 'PENDING' and (host, project_id) > (queues.host, queues.project_id)
         order by host, project_id limit 1
      ) next
    )
    select id, queues.project_id as "projectId", queues.host from queues cross join lateral (
      select id, due_at, row_number() over (order by due_at) as turn from (
        select id, due_at from deliveries
         where host = queues.host and project_id = queues.project_id and status = 'PENDING' and due_at <= now()
           and (lease_until is null or lease_until <= now())
         order by due_at limit ${perHost}
      ) oldest
    ) due
     where queues.host <> all(${busy}::text[])
     order by due.turn, due.due_at limit ${MAX_CANDIDATES}`.execute(db);
  return result.rows;
}

/** Gives a delivery back untried: it is due again at once. */
export async function releaseDelivery(db: Database, delivery: ClaimedDelivery): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({ lease_until: null })
    .where('id', '=', delivery.id)
    .where('lease_until', '=', delivery.leaseUntil)
    .execute();
}

/** Milliseconds until a delivery becomes due that is not due yet; null when there is none. */
export async function nextDueInMs(db: Database): Promise<number | null> {
  const row = await db
    .selectFrom('deliveries')
    .select(sql<number>`ceil(extract(epoch from due_at - now()) * 1000)::float8`.as('ms'))
    .where('status', '=', 'PENDING')
    .where('due_at', '>', sql<Date>`now()`)
    .orderBy('due_at')
    .limit(1)
    .executeTakeFirst();
  return row?.ms ?? null;
}
