import { expect, test } from 'vitest';
import { startLoop } from '../../src/std/loop.ts';

test('a round that runs is told that the loop ends, and waited for', async () => {
  const rounds: string[] = [];
  const loop = startLoop({
    everyMs: 60_000,
    work: async (ends) => {
      await new Promise((done) => ends.addEventListener('abort', done, { once: true }));
      rounds.push('ended');
    },
    onError: () => {},
  });
  loop.wake();
  loop.wake();
  await loop.stop();
  expect(rounds).toEqual(['ended']);
});

test('a wake during a round is one more round, and a round that fails is repeated sooner', async () => {
  const rounds: string[] = [];
  const { promise: third, resolve } = Promise.withResolvers<void>();
  const loop = startLoop({
    everyMs: 60_000,
    retryMs: 1,
    work: async () => {
      rounds.push('round');
      if (rounds.length === 1) loop.wake();
      if (rounds.length === 2) throw new Error('as asked');
      if (rounds.length === 4) resolve();
    },
    onError: () => rounds.push('error'),
  });
  loop.wake();
  await third;
  await loop.stop();
  expect(rounds).toEqual(['round', 'round', 'error', 'round']);
});
