import { type AcpOptions, createAcpAgent } from './acp.ts';
import type { Agent } from './agent.ts';
import { createClaudeCode } from './claude-code.ts';
import { createCodex } from './codex.ts';
import { createGemini } from './gemini.ts';
import { createOpenCode } from './opencode.ts';
import type { OpenCodeProviders } from './opencode-config.ts';
import { createScripted } from './scripted.ts';

export interface AgentsOptions {
  /** What every agent may see of the worker's environment: PATH, LANG. Nothing else is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  /** The Claude Code program: an absolute path, or a name in PATH. */
  readonly claudePath: string;
  readonly anthropicApiKey: string | null;
  /** A gateway instead of the provider's own address. */
  readonly anthropicBaseUrl: string | null;
  /** As for Claude Code. */
  readonly codexPath: string;
  readonly openaiApiKey: string | null;
  readonly openaiBaseUrl: string | null;
  readonly geminiPath: string;
  readonly geminiApiKey: string | null;
  readonly geminiBaseUrl: string | null;
  readonly opencodePath: string;
  /** `provider/model`. */
  readonly opencodeModel: string | null;
  readonly opencodeProviders: OpenCodeProviders;
  readonly opencodeApiKey: string | null;
  readonly acpAgents: readonly Omit<AcpOptions, 'environment'>[];
}

/** Every agent that this process knows, by the provider's name. The first is the default where nothing else is said. */
export type AgentRegistry = ReadonlyMap<string, Agent>;

export function createAgents(options: AgentsOptions): AgentRegistry {
  const { environment, claudePath, anthropicApiKey, anthropicBaseUrl } = options;
  const agents = [
    createClaudeCode({ environment, program: claudePath, apiKey: anthropicApiKey, baseUrl: anthropicBaseUrl }),
    createCodex({
      environment,
      program: options.codexPath,
      apiKey: options.openaiApiKey,
      baseUrl: options.openaiBaseUrl,
    }),
    createGemini({
      environment,
      program: options.geminiPath,
      apiKey: options.geminiApiKey,
      baseUrl: options.geminiBaseUrl,
    }),
    createOpenCode({
      environment,
      program: options.opencodePath,
      access: {
        providers: options.opencodeProviders,
        model: options.opencodeModel,
        apiKey: options.opencodeApiKey,
        anthropic: { apiKey: anthropicApiKey, baseUrl: anthropicBaseUrl },
        openai: { apiKey: options.openaiApiKey, baseUrl: options.openaiBaseUrl },
      },
    }),
    createScripted({ environment }),
    ...options.acpAgents.map((agent) => createAcpAgent({ ...agent, environment })),
  ];
  return new Map(agents.map((agent) => [agent.name, agent]));
}
