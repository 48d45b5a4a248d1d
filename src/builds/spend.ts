/** What a project has spent in a day of UTC: one row per project and day, in step with what its builds publish. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

export interface Spend {
  /** US dollars, of what is known to have cost something. */
  readonly costUsd: number;
  /** Input and output. */
  readonly tokens: number;
  /** Those of them of which nobody knows what they cost. */
  readonly unpricedTokens: number;
}

export const TODAY = sql`(now() at time zone 'UTC')::date`;

const NOTHING: Spend = { costUsd: 0, tokens: 0, unpricedTokens: 0 };

/** Today's, by project; of each that is asked for. */
export async function readSpendToday(db: Database, projectIds: readonly string[]): Promise<Map<string, Spend>> {
  const { rows } = await sql<Spend & { id: string }>`
    select project_id as id, cost_usd::float8 as "costUsd", tokens, unpriced_tokens as "unpricedTokens"
      from project_spend
     where project_id = any(${projectIds}::uuid[]) and day = ${TODAY}`.execute(db);
  const found = new Map(rows.map(({ id, ...spend }) => [id, spend]));
  return new Map(projectIds.map((id) => [id, found.get(id) ?? NOTHING]));
}
