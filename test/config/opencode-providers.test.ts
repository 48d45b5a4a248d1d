import { expect, test } from 'vitest';
import { agentOptions } from '../../src/config/agent-options.ts';
import { ConfigError, readConfig } from '../../src/config/config.ts';

const read = (providers: unknown) =>
  readConfig({ SLIPWAY_OPENCODE_PROVIDERS: typeof providers === 'string' ? providers : JSON.stringify(providers) });

test("OpenCode's own settings of a provider are passed on as they are", () => {
  const providers = {
    ollama: { npm: '@ai-sdk/openai-compatible', options: { baseURL: 'http://127.0.0.1:11434/v1', timeout: 1 } },
    anthropic: { options: {}, models: { 'claude-x': { cost: { input: 1, output: 2 } } } },
  };
  expect(agentOptions(read(providers)).opencodeProviders).toEqual(providers);
  expect(agentOptions(readConfig({})).opencodeProviders).toEqual({});
});

test.each([
  ['{', 'must be JSON'],
  [{ ollama: {} }, 'ollama.options.baseURL is missing'],
  [{ ollama: { options: { baseURL: 'nowhere' } } }, 'ollama.options.baseURL must be a URL'],
  [
    { ollama: { options: { baseURL: 'http://x/v1', apiKey: 'sk-1' } } },
    'must not be written here: set OPENCODE_API_KEY',
  ],
])('what cannot be used is refused and says why: %j', (providers, message) => {
  expect(() => read(providers)).toThrow(ConfigError);
  expect(() => read(providers)).toThrow(message);
});

test('a model without its provider is refused', () => {
  expect(() => readConfig({ SLIPWAY_OPENCODE_MODEL: 'opus' })).toThrow('must be provider/model');
  expect(agentOptions(readConfig({ SLIPWAY_OPENCODE_MODEL: 'a/b/c' })).opencodeModel).toBe('a/b/c');
});
