/** What agents have said that nobody here knows: see src/agents/drift.ts. */
import { sql } from 'kysely';
import { type Drift, type DriftCounter, MAX_DRIFT_NAMES } from '../agents/drift.ts';
import type { Database } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';

const UNKNOWN_VERSION = 'unknown';

export interface AgentDrift {
  readonly agent: string;
  readonly version: string;
  readonly name: string;
  readonly count: number;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
}

/**
 * Adds what was counted to the table and returns it. `versions` are those of this worker's agents, for agents that do
 * not say theirs. What could not be written is counted again.
 */
export async function recordDrift(
  db: Database,
  counter: DriftCounter,
  versions: ReadonlyMap<string, string>,
): Promise<readonly Drift[]> {
  const counted = counter.take();
  if (counted.length === 0) return [];
  const versionOf = ({ agent, version }: Drift) => version ?? versions.get(agent) ?? UNKNOWN_VERSION;
  try {
    await write(
      db,
      counted.map((drift) => ({ ...drift, version: versionOf(drift) })),
    );
  } catch (error) {
    for (const drift of counted) counter.add(drift);
    throw error;
  }
  return counted;
}

async function write(db: Database, drift: readonly (Drift & { readonly version: string })[]): Promise<void> {
  await inTransaction(db, async (trx) => {
    // Ordered, so that two workers never wait for each other's rows; grouped, because two counts may be of one version.
    await sql`
      insert into agent_drift as d (agent, version, name, count)
      select agent, version, name, sum(count)
        from json_to_recordset(${JSON.stringify(drift)}::json) as n (agent text, version text, name text, count bigint)
       group by agent, version, name order by agent, version, name
      on conflict (agent, version, name) do update set count = d.count + excluded.count, last_seen_at = now()
    `.execute(trx);
    await sql`
      delete from agent_drift where (agent, version, name) in (
        select agent, version, name from (
          select *, row_number() over (partition by agent order by last_seen_at desc, count desc, version, name) as place
            from agent_drift where agent = any(${[...new Set(drift.map(({ agent }) => agent))]})
        ) ranked where place > ${MAX_DRIFT_NAMES})
    `.execute(trx);
  });
}

/** Of every agent, what was seen last first: at most `MAX_DRIFT_NAMES` of each. */
export async function findDrift(db: Database): Promise<AgentDrift[]> {
  const rows = await db
    .selectFrom('agent_drift')
    .selectAll()
    .orderBy('agent')
    .orderBy('last_seen_at', 'desc')
    .orderBy('version')
    .orderBy('name')
    .limit(10_000)
    .execute();
  return rows.map(({ first_seen_at: firstSeenAt, last_seen_at: lastSeenAt, ...row }) => ({
    ...row,
    firstSeenAt,
    lastSeenAt,
  }));
}
