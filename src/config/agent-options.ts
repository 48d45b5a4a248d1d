import { baseEnvironment, type Config, ConfigError, readVariable } from './config.ts';

/** What of the configuration the agents are made of: their programs, keys and addresses. */
export function agentOptions(config: Config) {
  return {
    // An image says itself where its programs are.
    environment: config.runtime === 'kubernetes' ? { LANG: 'C.UTF-8' } : baseEnvironment(),
    claudePath: config.claudePath,
    anthropicApiKey: config.anthropicApiKey ?? null,
    anthropicBaseUrl: config.anthropicBaseUrl ?? null,
    codexPath: config.codexPath,
    openaiApiKey: config.openaiApiKey ?? null,
    openaiBaseUrl: config.openaiBaseUrl ?? null,
    geminiPath: config.geminiPath,
    geminiApiKey: config.geminiApiKey ?? null,
    geminiBaseUrl: config.geminiBaseUrl ?? null,
    opencodePath: config.opencodePath,
    opencodeModel: config.opencodeModel ?? null,
    opencodeProviders: config.opencodeProviders,
    opencodeApiKey: config.opencodeApiKey ?? null,
    acpAgents: Object.entries(config.acpAgents).map(([name, agent]) => ({
      ...agent,
      name,
      apiKey: agent.keyVariable && (readVariable(agent.keyVariable) || null),
      baseUrl: agent.baseUrlVariable && readUrl(agent.baseUrlVariable),
    })),
  };
}

/** Throws ConfigError when it is set and no URL. */
function readUrl(variable: string): string | null {
  const url = readVariable(variable) || null;
  if (url !== null && !URL.canParse(url))
    throw new ConfigError(`The configuration is not valid.\n${variable}: must be a URL.`);
  return url;
}
