import { expect, it } from 'vitest';
import { inTurns } from '../../src/std/in-turns.ts';
import { waitFor } from '../support/wait-for.ts';

it('tells all once and in order, the first at once, and others have their turns between', async () => {
  const all = Array.from({ length: 1_000 }, (_, index) => index);
  const told: number[] = [];
  let turns = 0;
  const count = () => {
    turns += 1;
    if (told.length < all.length) setImmediate(count);
  };
  inTurns(all, (one) => told.push(one));
  expect(told).toEqual(all.slice(0, told.length));
  expect(told.length).toBeGreaterThan(0);
  count();
  await waitFor(() => told.length === all.length);
  expect(told).toEqual(all);
  expect(turns).toBeGreaterThan(10);
});
