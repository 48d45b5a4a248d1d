/** The caps that end an agent, looked at with everything it says, whatever it does about them itself. */
import type { AgentEvent, AgentReason, StopReason } from '../agents/agent.ts';
import type { Usage } from '../events/event.ts';
import { tokensOf } from '../events/usage.ts';
import type { BuildLimits } from './build-spec.ts';

export type Caps = Pick<BuildLimits, 'maxRetries' | 'maxTurns' | 'maxTokens' | 'maxCostUsd'>;

export interface Breach {
  readonly why: Extract<StopReason, 'fail_fast' | 'max_turns' | 'budget'>;
  /** For a person; null where the provider's own words say it. */
  readonly message: string | null;
}

/** No retry of the agent helps against these: it is ended at the first. */
const FAIL_FAST: ReadonlySet<AgentReason> = new Set(['auth', 'billing']);

/** For the events of one run, in order; the first cap that is exceeded. Its usage is that of the build in all. */
export function startAgentCaps(caps: Caps): (events: readonly AgentEvent[]) => Breach | null {
  let retries = 0;
  return (events) => {
    for (const event of events) {
      // The model has answered: what comes now is another trouble.
      if (event.type === 'activity' || event.type === 'usage') retries = 0;
      if (event.type === 'retry') retries += 1;
      const tooOften = event.type === 'retry' && (FAIL_FAST.has(event.reason) || retries > caps.maxRetries);
      const breach = tooOften ? { why: 'fail_fast' as const, message: null } : null;
      const found = breach ?? (event.type === 'usage' ? findExceeded(caps, event.usage) : null);
      if (found) return found;
    }
    return null;
  };
}

/** The cap that this usage exceeds; what is unknown exceeds none. */
export function findExceeded(
  { maxTurns, maxTokens, maxCostUsd }: Omit<Caps, 'maxRetries'>,
  usage: Usage,
): Breach | null {
  const tokens = tokensOf(usage);
  if (maxCostUsd !== null && (usage.costUsd ?? 0) > maxCostUsd) {
    const message = `The agent has used $${usage.costUsd}, and the build may use $${maxCostUsd}.`;
    return { why: 'budget', message };
  }
  if (maxTokens !== null && tokens > maxTokens) {
    return { why: 'budget', message: `The agent has used ${tokens} tokens, and the build may use ${maxTokens}.` };
  }
  if (maxTurns !== null && (usage.turns ?? 0) > maxTurns) {
    return {
      why: 'max_turns',
      message: `The agent has taken ${usage.turns} turns, and the build may take ${maxTurns}.`,
    };
  }
  return null;
}
