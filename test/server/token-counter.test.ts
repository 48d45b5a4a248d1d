import { expect, it } from 'vitest';
import { TokenCounter } from '../../src/server/token-counter.ts';

it('counts each token by itself, and whoever leaves twice leaves once', () => {
  const counter = new TokenCounter(2);
  const [first, second] = [counter.enter('a'), counter.enter('a')];
  expect(counter.enter('a')).toBeNull();
  expect(counter.enter('b')).not.toBeNull();
  first?.leave();
  first?.leave();
  expect(counter.enter('a')).not.toBeNull();
  expect(counter.enter('a')).toBeNull();
  second?.leave();
  expect(counter.enter('a')).not.toBeNull();
});
