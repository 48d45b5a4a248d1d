import { expect, test } from 'vitest';
import type { ModelUsage } from '../../src/events/event.ts';
import { addUsage } from '../../src/events/usage.ts';

const amounts = { inputTokens: 1, outputTokens: 2, cacheReadTokens: 3, cacheWriteTokens: 4, costUsd: 0.5 };
const model = (name: string, changes: Partial<ModelUsage> = {}): ModelUsage => ({
  model: name,
  ...amounts,
  ...changes,
});

test('the sum of nothing and something is that', () => {
  const usage = { ...amounts, turns: 1 };
  expect(addUsage(null, usage)).toBe(usage);
});

test('amounts and models add up', () => {
  const sum = addUsage(
    { ...amounts, turns: 1, models: [model('a')] },
    { ...amounts, turns: 2, models: [model('a'), model('b')] },
  );
  const twice = { inputTokens: 2, outputTokens: 4, cacheReadTokens: 6, cacheWriteTokens: 8, costUsd: 1 };
  expect(sum).toEqual({ ...twice, turns: 3, models: [{ model: 'a', ...twice }, model('b')] });
});

test('a sum with something unknown is unknown, and not zero', () => {
  const unpriced = { ...amounts, turns: null, costUsd: null, models: [model('a', { costUsd: null })] };
  const sum = addUsage({ ...amounts, turns: 1, models: [model('a')] }, unpriced);
  expect(sum).toMatchObject({
    inputTokens: 2,
    costUsd: null,
    turns: null,
    models: [{ inputTokens: 2, costUsd: null }],
  });
});

test('there are never more than 50 models', () => {
  const many = Array.from({ length: 80 }, (_, index) => model(`m${index}`));
  expect(addUsage({ ...amounts, turns: 1 }, { ...amounts, turns: 1, models: many }).models).toHaveLength(50);
});
