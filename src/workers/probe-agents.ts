/** What a worker says of the agents that it knows. */
import type { Agent, AgentCapabilities } from '../agents/agent.ts';
import { cutText } from '../agents/cut-text.ts';

/** Of a reason and of a remedy. */
const MAX_TEXT = 500;

export interface AgentReport {
  /** The provider's name. */
  readonly name: string;
  readonly capabilities: AgentCapabilities;
  /** It has what the agent's provider asks for, also for projects that bring nothing. */
  readonly keyed: boolean;
  readonly available: boolean;
  /** Null exactly when it is not available. */
  readonly version: string | null;
  /** Why it is not available, and what to do; null when it is. */
  readonly reason: string | null;
  readonly remedy: string | null;
}

/** In the order of the registry. Every probe is asked at the same time and answers within 10 s. */
export async function probeAgents(agents: ReadonlyMap<string, Agent>): Promise<AgentReport[]> {
  return Promise.all(
    [...agents.values()].map(async (agent) => {
      const found = await agent.probe();
      return {
        name: agent.name,
        capabilities: agent.capabilities,
        keyed: agent.modelKey?.hasDefault ?? true,
        available: found.available,
        version: found.available ? cutText(found.version, MAX_TEXT) : null,
        reason: found.available ? null : cutText(found.reason, MAX_TEXT),
        remedy: found.available ? null : cutText(found.remedy, MAX_TEXT),
      };
    }),
  );
}
