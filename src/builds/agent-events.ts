import type { AgentEvent } from '../agents/agent.ts';
import type { NewBuildEvent } from '../events/event.ts';

/** What followers of the build are told of what the agent said; null for what only matters to us. */
export function toBuildEvent(event: AgentEvent, provider: string): NewBuildEvent | null {
  switch (event.type) {
    case 'started': {
      const { sessionId, model, agentVersion } = event;
      return { type: 'AGENT_STARTED', data: { provider, model, sessionId, agentVersion } };
    }
    case 'activity':
      return { type: 'AGENT_ACTIVITY', data: { content: event.content } };
    case 'retry': {
      const { message, reason } = event;
      return { type: 'AGENT_ACTIVITY', data: { content: { kind: 'retry', message, reason } } };
    }
    case 'usage':
      return { type: 'USAGE_UPDATED', data: { usage: event.usage } };
    case 'warning':
      return { type: 'WARNING', data: { message: event.message } };
    // Written with their rows.
    case 'asked':
    case 'request_closed':
    case 'message_taken':
    case 'turn_finished':
    case 'raw':
      return null;
  }
}

/** Events of one build's agent per minute. What goes beyond is in the log only. */
const MAX_EVENTS_PER_MINUTE = 2_000;

/** Lets pass what is within the budget; says once a minute that there was more. Usage always passes. */
export function startEventBudget(): (events: readonly NewBuildEvent[]) => NewBuildEvent[] {
  let minute = 0;
  let count = 0;
  return (events) => {
    const now = Math.floor(performance.now() / 60_000);
    if (now !== minute) count = 0;
    minute = now;
    const passed: NewBuildEvent[] = [];
    for (const event of events) {
      if (event.type === 'USAGE_UPDATED') {
        passed.push(event);
        continue;
      }
      count += 1;
      if (count <= MAX_EVENTS_PER_MINUTE) passed.push(event);
      if (count !== MAX_EVENTS_PER_MINUTE + 1) continue;
      const message = `More than ${MAX_EVENTS_PER_MINUTE} events in a minute: the rest of this minute is in the log only.`;
      passed.push({ type: 'WARNING', data: { message } });
    }
    return passed;
  };
}
