import { describe, expect, test } from 'vitest';
import type { AgentEvent, AgentReason } from '../../src/agents/agent.ts';
import { type Caps, startAgentCaps } from '../../src/builds/agent-caps.ts';
import { completeLimits } from '../../src/builds/build-spec.ts';
import type { Usage } from '../../src/events/event.ts';

const unknown: Usage = {
  inputTokens: null,
  outputTokens: null,
  cacheReadTokens: null,
  cacheWriteTokens: null,
  costUsd: null,
  turns: null,
};
const usage = (used: Partial<Usage>): AgentEvent => ({ type: 'usage', usage: { ...unknown, ...used } });
const retry = (reason: AgentReason): AgentEvent => ({ type: 'retry', reason, message: 'no', attempt: null });
const says: AgentEvent = { type: 'activity', content: { kind: 'message', text: 'hi' } };

const find = (caps: Partial<Caps>, ...events: AgentEvent[]) =>
  startAgentCaps(completeLimits(caps))(events)?.why ?? null;

describe('a cap', () => {
  test.each([
    ['money', { maxCostUsd: 1 }, { costUsd: 1.01 }, 'budget'],
    ['all of the money, and no more', { maxCostUsd: 1 }, { costUsd: 1 }, null],
    ['tokens', { maxTokens: 10 }, { inputTokens: 6, outputTokens: 5 }, 'budget'],
    ['all of the tokens, and no more', { maxTokens: 10 }, { inputTokens: 5, outputTokens: 5 }, null],
    ['tokens of which some are unknown', { maxTokens: 10 }, { outputTokens: 11 }, 'budget'],
    ['turns', { maxTurns: 3 }, { turns: 4 }, 'max_turns'],
    ['all of the turns, and no more', { maxTurns: 3 }, { turns: 3 }, null],
    ['what is unknown', { maxCostUsd: 1, maxTokens: 10, maxTurns: 3 }, {}, null],
    ['anything without a cap', {}, { costUsd: 9, inputTokens: 9e9, turns: 99 }, null],
  ] as const)('%s', (_, caps, used, why) => {
    expect(find(caps, usage(used))).toBe(why);
  });

  test.each(['auth', 'billing'] as const)('%s is the end at the first refusal', (reason) => {
    expect(find({}, retry(reason))).toBe('fail_fast');
  });

  test('refusals in a row are counted, over batches, until the model answers', () => {
    const look = startAgentCaps(completeLimits({ maxRetries: 2 }));
    expect(look([retry('overloaded')])).toBeNull();
    expect(look([retry('overloaded'), says])).toBeNull();
    expect(look([retry('overloaded'), retry('network')])).toBeNull();
    expect(look([retry('overloaded')])).toMatchObject({ why: 'fail_fast' });
  });

  test('no refusal at all', () => {
    expect(find({ maxRetries: 0 }, retry('server_error'))).toBe('fail_fast');
  });
});
