/** The budgets of all tokens, in Postgres: what processes take their portions from. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../database/database.ts';

export interface Budget {
  /** Points of a full one. */
  readonly capacity: number;
  readonly pointsPerSecond: number;
}

export interface TakenPortion {
  readonly tokenId: string;
  /** Points of an earlier portion that are returned. */
  readonly givenBack: number;
  /** What callers wait for, in their order; what does not fit is passed over. */
  readonly needs: readonly number[];
  /** Points on top, as far as there are plenty. */
  readonly extra: number;
}

export interface Portion {
  readonly granted: number;
  /** Points that anybody may still take. */
  readonly left: number;
}

export interface RateBudgets {
  readonly budget: Budget;
  /** One statement. Rejects when Postgres does. */
  take(portion: TakenPortion): Promise<Portion>;
}

/** `at` is the moment as Postgres sees it. */
export function openRateBudgets(db: Database, budget: Budget, at: () => Date | null = () => null): RateBudgets {
  const { capacity, pointsPerSecond } = budget;
  return {
    budget,
    async take({ tokenId, givenBack, needs, extra }) {
      const taken: RawBuilder<{ granted: number; points_left: number }> = sql`
        select granted, points_left from take_rate_points(${tokenId}::uuid, ${givenBack}, ${needs}::float8[], ${extra},
          ${capacity}, ${pointsPerSecond}, ${at()}::timestamptz)`;
      const { rows } = await taken.execute(db);
      const [row] = rows;
      if (!row) throw new Error('take_rate_points gave no row.');
      return { granted: row.granted, left: row.points_left };
    },
  };
}
