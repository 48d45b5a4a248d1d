/** What a worker is to do by what administrators have said of it: asked with every heartbeat and before every claim. */
import { sql } from 'kysely';
import { LEASE_SECONDS } from '../builds/lease.ts';
import type { Database } from '../database/database.ts';
import type { DrainOrder } from './administer-worker.ts';

export interface Standing {
  /** Neither cordoned, nor draining, nor evicted. */
  readonly takesWork: boolean;
  /** What it ran is no longer its own, and nothing else will be. */
  readonly isEvicted: boolean;
  /** It is to end; null: nobody said so. */
  readonly drain: DrainOrder | null;
  /**
   * With which it claims. Those that it is listed with, and `provider:NAME` of an agent that it knows and no worker can
   * run: somebody has to tell such a build that it will not get better by waiting.
   */
  readonly labels: readonly string[];
}

interface StandingRow {
  readonly evicted: boolean;
  readonly cordoned: boolean;
  readonly drain_mode: DrainOrder['mode'] | null;
  readonly drain_seconds: number | null;
  readonly labels: string[];
  readonly missing: string[];
}

/** Of a worker that nobody knows: it takes nothing. */
const UNKNOWN: Standing = { takesWork: false, isEvicted: false, drain: null, labels: [] };

export async function readStanding(db: Database, workerId: string): Promise<Standing> {
  const { rows } = await sql<StandingRow>`
    select w.evicted_at is not null as evicted, w.cordoned_at is not null as cordoned, w.labels, w.drain_mode,
           greatest(0, extract(epoch from w.drain_until - now()))::float8 as drain_seconds,
           array(select 'provider:' || (a ->> 'name') from jsonb_array_elements(w.agents) a
                  where not (a ->> 'available')::boolean and not exists (
                    select from workers o
                     where o.stopped_at is null and o.evicted_at is null
                       and o.heartbeat_at > now() - make_interval(secs => ${LEASE_SECONDS})
                       and o.providers @> jsonb_build_array(jsonb_build_object('provider', a -> 'name')))) as missing
      from workers w where w.id = ${workerId}`.execute(db);
  const [row] = rows;
  if (!row) return UNKNOWN;
  const { evicted, cordoned, drain_mode: mode, drain_seconds: seconds, labels, missing } = row;
  const drain = mode === null || seconds === null ? null : { graceSeconds: seconds, mode };
  return {
    takesWork: !evicted && !cordoned && drain === null,
    isEvicted: evicted,
    drain,
    labels: [...labels, ...missing],
  };
}
