/**
 * Whether a figure passes: one that cannot be measured fails, and one that misses 0.7 of a goal twice, or of what was
 * reached of it before.
 */
import { describeGoal, TOLERANCE } from './judge.ts';
import type { FigureResult, GoalResult } from './result.ts';

export interface Verdict {
  /** The last measurement; null when there is none. */
  readonly result: FigureResult | null;
  /** Why the bench fails; null when it does not. */
  readonly failure: string | null;
}

/** Measures, and measures once more what has missed a goal by more than a busy machine explains. */
export async function measureTwice(measure: () => Promise<FigureResult>): Promise<Verdict> {
  let result: FigureResult | null = null;
  try {
    result = await measure();
    if (missed(result).length > 0) result = await measure();
  } catch (error) {
    return { result, failure: `cannot be measured: ${error instanceof Error ? error.message : error}` };
  }
  const misses = missed(result).map(
    ({ goal, ratio }) => `${describeGoal(goal)}: ${ratio.toPrecision(3)}, at the second try, too`,
  );
  return { result, failure: misses.length > 0 ? misses.join('; ') : null };
}

function missed({ goals }: FigureResult): GoalResult[] {
  return goals.filter(({ kept }) => kept < TOLERANCE);
}
