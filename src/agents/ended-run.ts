import type { AgentOutcome, AgentRun } from './agent.ts';

/** A run that ended before it began: nothing was started, the outcome is known. */
export function endedRun(outcome: AgentOutcome): AgentRun {
  return {
    reattached: false,
    batches: (async function* () {})(),
    outputBytes: async () => 0,
    notices: async () => [],
    tell: async () => {},
    stop: async () => {},
    outcome: () => outcome,
  };
}
