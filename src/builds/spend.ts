/** What a project has spent in a day of UTC: one row per project and day, in step with what its builds publish. */
import { sql } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { Usage } from '../events/event.ts';
import { tokensOf } from '../events/usage.ts';

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

/** What came on top since `before`; null stands for nothing yet. */
export function spendSince(before: Usage | null, after: Usage): Spend {
  const tokens = Math.max(0, tokensOf(after) - (before ? tokensOf(before) : 0));
  if (after.costUsd === null) return { costUsd: 0, tokens, unpricedTokens: tokens };
  return { costUsd: Math.max(0, after.costUsd - (before?.costUsd ?? 0)), tokens, unpricedTokens: 0 };
}

/** The caller holds the row of a build of this project. */
export async function recordSpend(trx: DatabaseTransaction, projectId: string, spend: Spend): Promise<void> {
  if (spend.costUsd === 0 && spend.tokens === 0) return;
  const { costUsd, tokens, unpricedTokens } = spend;
  await sql`
    insert into project_spend as spent (project_id, day, cost_usd, tokens, unpriced_tokens)
    values (${projectId}, ${TODAY}, ${costUsd}::numeric, ${Math.round(tokens)}, ${Math.round(unpricedTokens)})
    on conflict (project_id, day) do update set
      cost_usd = spent.cost_usd + excluded.cost_usd,
      tokens = spent.tokens + excluded.tokens,
      unpriced_tokens = spent.unpriced_tokens + excluded.unpriced_tokens`.execute(trx);
}

/** Today's, by project; of each that is asked for. */
export async function readSpendToday(db: Database, projectIds: readonly string[]): Promise<Map<string, Spend>> {
  const { rows } = await sql<Spend & { id: string }>`
    select project_id as id, cost_usd::float8 as "costUsd", tokens, unpriced_tokens as "unpricedTokens"
      from project_spend
     where project_id = any(${projectIds}::uuid[]) and day = ${TODAY}`.execute(db);
  const found = new Map(rows.map(({ id, ...spend }) => [id, spend]));
  return new Map(projectIds.map((id) => [id, found.get(id) ?? NOTHING]));
}
