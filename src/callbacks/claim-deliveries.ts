/** Takes due deliveries for one process to send. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

/** Much longer than a try may take: a row that is still held then belonged to a process that died. */
const LEASE_SECONDS = 60;

export interface ClaimedDelivery {
  readonly id: string;
  readonly buildId: string;
  readonly projectId: string;
  readonly url: string;
  /** With the port, where the URL has one. */
  readonly host: string;
  /** In this round, before this one. */
  readonly tries: number;
  /** The database's time. */
  readonly claimedAt: Date;
  /** Also the fence: whoever claims it later holds another one. */
  readonly leaseUntil: Date;
}

export interface ClaimLimits {
  /** Rows at most. */
  readonly free: number;
  /** On their way to one host at most. */
  readonly perHost: number;
  /** Host -> on their way from this process. */
  readonly busy: ReadonlyMap<string, number>;
}

/**
 * The longest due first, within the limits; rows that another process is about to take are left to it. Goes from host
 * to host through the index, so a long queue of one host costs the others nothing.
 */
export async function claimDeliveries(db: Database, limits: ClaimLimits): Promise<ClaimedDelivery[]> {
  const busy = JSON.stringify(Object.fromEntries(limits.busy));
  const result = await sql<ClaimedDelivery>`
    with recursive hosts as (
      (select host from deliveries where status = 'PENDING' order by host limit 1)
      union all
      select (select next.host from deliveries next
               where next.status = 'PENDING' and next.host > hosts.host order by next.host limit 1)
        from hosts where hosts.host is not null
    ), candidates as (
      select due.id from hosts cross join lateral (
        select id, due_at from deliveries
         where host = hosts.host and status = 'PENDING' and due_at <= now()
           and (lease_until is null or lease_until <= now())
         order by due_at
         limit greatest(0, ${limits.perHost}::int - coalesce((${busy}::jsonb ->> hosts.host)::int, 0))
      ) due order by due.due_at limit ${limits.free}
    ), taken as (
      select id from deliveries
       where id in (select id from candidates) and status = 'PENDING' and due_at <= now()
         and (lease_until is null or lease_until <= now())
       for update skip locked
    )
    update deliveries set lease_until = now() + ${LEASE_SECONDS} * interval '1 second'
      from taken where deliveries.id = taken.id
    returning deliveries.id, build_id as "buildId", project_id as "projectId", url, host, tries,
              now()::timestamptz(3) as "claimedAt", lease_until as "leaseUntil"`.execute(db);
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
