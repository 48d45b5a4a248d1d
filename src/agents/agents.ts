import type { Agent } from './agent.ts';
import { createClaudeCode } from './claude-code.ts';
import { createScripted } from './scripted.ts';

export interface AgentsOptions {
  /** What every agent may see of the worker's environment: PATH, LANG. Nothing else is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  /** The Claude Code program: an absolute path, or a name in PATH. */
  readonly claudePath: string;
  readonly anthropicApiKey: string | null;
  /** A gateway instead of the provider's own address. */
  readonly anthropicBaseUrl: string | null;
}

/** Every agent that this process knows, by the provider's name. */
export type AgentRegistry = ReadonlyMap<string, Agent>;

export function createAgents(options: AgentsOptions): AgentRegistry {
  const { environment, claudePath, anthropicApiKey, anthropicBaseUrl } = options;
  const agents = [
    createClaudeCode({ environment, program: claudePath, apiKey: anthropicApiKey, baseUrl: anthropicBaseUrl }),
    createScripted({ environment }),
  ];
  return new Map(agents.map((agent) => [agent.name, agent]));
}
