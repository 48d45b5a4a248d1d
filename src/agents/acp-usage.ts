/** What an ACP agent says of tokens and money, where it says anything. */
import type { Usage } from '../events/event.ts';
import { fieldsOf, type JsonFields, numberOf } from './json-fields.ts';

type Tokens = Omit<Usage, 'costUsd' | 'turns'>;

/** Of the turn that this answer ends; null when nothing is said. Gemini tells them as a quota. */
export function acpTokens({ usage, _meta }: JsonFields): Tokens | null {
  const said = fieldsOf(usage);
  const quota = fieldsOf(fieldsOf(fieldsOf(_meta)?.quota)?.token_count);
  if (!said && !quota) return null;
  return {
    inputTokens: numberOf(said?.inputTokens) ?? numberOf(quota?.input_tokens),
    outputTokens: numberOf(said?.outputTokens) ?? numberOf(quota?.output_tokens),
    cacheReadTokens: numberOf(said?.cachedReadTokens),
    cacheWriteTokens: numberOf(said?.cachedWriteTokens),
  };
}

/** US dollars that the session has cost in all; null when nothing is said, or in another currency. */
export function costOf(update: JsonFields): number | null {
  const cost = fieldsOf(update.cost);
  return cost?.currency === 'USD' ? numberOf(cost.amount) : null;
}

export function acpUsage(tokens: Tokens | null, costUsd: number | null): Usage {
  return {
    inputTokens: tokens?.inputTokens ?? null,
    outputTokens: tokens?.outputTokens ?? null,
    cacheReadTokens: tokens?.cacheReadTokens ?? null,
    cacheWriteTokens: tokens?.cacheWriteTokens ?? null,
    costUsd,
    turns: null,
  };
}
