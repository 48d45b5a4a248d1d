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

it('who gives up while it waits has no turn, and keeps nobody from theirs', async () => {
  const turns = new Turns(1);
  const leave = await turns.enter();
  const impatient = new AbortController();
  const given = turns.enter(impatient.signal);
  const next = turns.enter();
  impatient.abort(new Error('too long'));
  await expect(given).rejects.toThrow('too long');
  await expect(turns.enter(impatient.signal)).rejects.toThrow('too long');
  leave();
  leave();
  const leaveNext = await next;
  const waiting = turns.take(async () => 'last');
  leaveNext();
  expect(await waiting).toBe('last');
});
