import { expect, onTestFinished, test } from 'vitest';
import { agentOptions } from '../../src/config/agent-options.ts';
import { readConfig, secretOptions } from '../../src/config/config.ts';

const read = (agents: unknown) =>
  readConfig({ SLIPWAY_ACP_AGENTS: typeof agents === 'string' ? agents : JSON.stringify(agents) });

function setVariable(name: string, value: string): void {
  process.env[name] = value;
  onTestFinished(() => void delete process.env[name]);
}

test('a command line alone is an agent without a key', () => {
  expect(readConfig({}).acpAgents).toEqual({});
  expect(read({ gemini: ['gemini', '--acp'] }).acpAgents).toEqual({
    gemini: { command: ['gemini', '--acp'], keyVariable: null, baseUrlVariable: null, reaches: [] },
  });
});

test('its key and the address of its model come from the variables that it takes them in', () => {
  const agent = { command: ['mine'], keyVariable: 'MINE_API_KEY', baseUrlVariable: 'MINE_BASE_URL' };
  const config = read({ mine: { ...agent, reaches: ['api.mine.test:443'] } });
  expect(agentOptions(config).acpAgents).toMatchObject([{ name: 'mine', apiKey: null, baseUrl: null }]);
  setVariable('MINE_API_KEY', 'the-key-of-mine');
  setVariable('MINE_BASE_URL', 'http://127.0.0.1:1/v1');
  expect(agentOptions(config).acpAgents).toMatchObject([
    { apiKey: 'the-key-of-mine', baseUrl: 'http://127.0.0.1:1/v1', reaches: ['api.mine.test:443'] },
  ]);
  expect(secretOptions(config)).toContain('the-key-of-mine');
  setVariable('MINE_BASE_URL', 'nowhere');
  expect(() => agentOptions(config)).toThrow('MINE_BASE_URL: must be a URL');
});

test.each([
  ['{', /must be a JSON object/],
  ['[]', /must be a JSON object/],
  [{ Mine: ['mine'] }, /must be a JSON object/],
  [{ mine: [] }, /mine\.command/],
  [{ mine: ['a', 'b\0'] }, /mine\.command\.1 must not contain NUL/],
  [{ mine: 'mine' }, /mine/],
  [{ mine: { command: ['mine'], key: 'secret' } }, /mine/],
  [{ mine: { command: ['mine'], keyVariable: 'LD_PRELOAD' } }, /mine\.keyVariable must be in capitals/],
  [{ mine: { command: ['mine'], keyVariable: 'SLIPWAY_MASTER_KEY' } }, /mine\.keyVariable .* not be ours/],
  [{ mine: { command: ['mine'], keyVariable: 'A_KEY', baseUrlVariable: 'PATH' } }, /mine\.baseUrlVariable/],
  [{ mine: { command: ['mine'], baseUrlVariable: 'A_URL' } }, /mine has a baseUrlVariable and no keyVariable/],
  [{ mine: { command: ['mine'], reaches: ['http://x'] } }, /mine\.reaches\.0/],
])('%j is refused', (agents, message) => {
  expect(() => read(agents)).toThrow(message);
  expect(() => read(agents)).toThrow('SLIPWAY_ACP_AGENTS');
});
