/** The money and tokens that a project's builds may use in a day of UTC. */
import { sql } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { BudgetExceededError } from '../errors.ts';
import type { ProjectSettings } from '../projects/project.ts';
import { type Spend, TODAY } from './spend.ts';

type Budget = NonNullable<ProjectSettings['budget']>;

/** What of the budget is left: null where there is no limit, 0 where nothing is. */
export interface DayBudget {
  readonly leftUsd: number | null;
  readonly leftTokens: number | null;
  /** Which limit is used up, as a sentence; null while no one is. */
  readonly usedUp: string | null;
}

function dayBudget(budget: Budget | null | undefined, spent: Pick<Spend, 'costUsd' | 'tokens'>): DayBudget {
  const { perDayUsd = null, perDayTokens = null } = budget ?? {};
  const leftUsd = perDayUsd === null ? null : Math.max(0, perDayUsd - spent.costUsd);
  const leftTokens = perDayTokens === null ? null : Math.max(0, perDayTokens - spent.tokens);
  const limit = leftUsd === 0 ? `$${perDayUsd}` : leftTokens === 0 ? `${perDayTokens} tokens` : null;
  const usedUp = limit && `The project has used up its budget of ${limit} a day; the next day begins at midnight UTC.`;
  return { leftUsd, leftTokens, usedUp };
}

/** Null and undefined stand for no limit. */
export function smaller(a: number | null | undefined, b: number | null | undefined): number | null {
  const limits = [a, b].filter((limit) => limit !== null && limit !== undefined);
  return limits.length > 0 ? Math.min(...limits) : null;
}

/** Today's budget of a project as its settings are now: two rows by their primary keys. */
export async function readDayBudget(db: Database | DatabaseTransaction, projectId: string): Promise<DayBudget> {
  return (await readDayBudgets(db, [projectId]))(projectId);
}

/** Of each of these projects. */
export async function readDayBudgets(
  db: Database | DatabaseTransaction,
  projectIds: readonly string[],
): Promise<(projectId: string) => DayBudget> {
  const { rows } = await sql<{ id: string; budget: Budget | null; costUsd: number; tokens: number }>`
    select p.id, p.settings -> 'budget' as budget, coalesce(s.cost_usd, 0)::float8 as "costUsd",
           coalesce(s.tokens, 0) as tokens
      from projects p
      left join project_spend s on s.project_id = p.id and s.day = ${TODAY}
     where p.id = any(${projectIds}::uuid[])`.execute(db);
  const found = new Map(rows.map((row) => [row.id, row]));
  return (id) => {
    const row = found.get(id);
    return dayBudget(row?.budget, row ?? { costUsd: 0, tokens: 0 });
  };
}

/** Otherwise nothing has to be read. */
export function hasDayBudget({ budget }: ProjectSettings): boolean {
  return (budget?.perDayUsd ?? null) !== null || (budget?.perDayTokens ?? null) !== null;
}

/** Throws BudgetExceededError when the project has nothing left for today. */
export async function refuseOverBudget(db: Database | DatabaseTransaction, projectId: string): Promise<void> {
  refuseUsedUp(await readDayBudget(db, projectId));
}

export function refuseUsedUp({ usedUp }: DayBudget): void {
  if (usedUp) throw new BudgetExceededError(usedUp, nextDay(new Date()));
}

function nextDay(now: Date): Date {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1));
}
