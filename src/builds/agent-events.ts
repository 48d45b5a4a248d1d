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
    case 'turn_finished':
    case 'raw':
      return null;
  }
}
