/** Sums of what agents have used. */
import type { ModelUsage, Usage } from './event.ts';

/** Of one build. */
const MAX_MODELS = 50;

/** Null stands for nothing yet. */
export function addUsage(sum: Usage | null, more: Usage): Usage {
  if (!sum) return more;
  const models = addModels(sum.models ?? [], more.models ?? []);
  return {
    ...addAmounts(sum, more),
    turns: plus(sum.turns, more.turns),
    ...(models.length > 0 ? { models } : {}),
  };
}

/** Input and output; what is unknown counts nothing. */
export function tokensOf({ inputTokens, outputTokens }: Pick<Usage, 'inputTokens' | 'outputTokens'>): number {
  return (inputTokens ?? 0) + (outputTokens ?? 0);
}

function addModels(sums: readonly ModelUsage[], more: readonly ModelUsage[]): readonly ModelUsage[] {
  const byModel = new Map(sums.map((sum) => [sum.model, sum]));
  for (const one of more) {
    const sum = byModel.get(one.model);
    if (sum || byModel.size < MAX_MODELS)
      byModel.set(one.model, sum ? { model: one.model, ...addAmounts(sum, one) } : one);
  }
  return [...byModel.values()];
}

type Amounts = Omit<ModelUsage, 'model'>;

function addAmounts(a: Amounts, b: Amounts): Amounts {
  return {
    inputTokens: plus(a.inputTokens, b.inputTokens),
    outputTokens: plus(a.outputTokens, b.outputTokens),
    cacheReadTokens: plus(a.cacheReadTokens, b.cacheReadTokens),
    cacheWriteTokens: plus(a.cacheWriteTokens, b.cacheWriteTokens),
    costUsd: plus(a.costUsd, b.costUsd),
  };
}

/** Unknown and a number is unknown: a sum with a hole would look like the whole. */
function plus(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}
