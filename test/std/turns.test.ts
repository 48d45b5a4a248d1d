import { expect, it } from 'vitest';
import { Turns } from '../../src/std/turns.ts';

it('lets so many work at a time, in their order, also when some of them fail', async () => {
  const turns = new Turns(2);
  const order: number[] = [];
  let running = 0;
  let most = 0;
  const work = (number: number) =>
    turns.take(async () => {
      running += 1;
      most = Math.max(most, running);
      order.push(number);
      await new Promise((turn) => setImmediate(turn));
      running -= 1;
      if (number % 3 === 0) throw new Error(`${number} fails`);
      return number;
    });
  const results = await Promise.allSettled(Array.from({ length: 10 }, (_, index) => work(index)));
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(4);
  expect({ most, order }).toEqual({ most: 2, order: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });
  expect(await work(1)).toBe(1);
});
