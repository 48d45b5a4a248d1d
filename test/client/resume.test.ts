import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ApiError, ConnectionError } from '../../src/client/errors.ts';
import { type ResumeOptions, resume } from '../../src/client/resume.ts';

/** Numbers 1 to `last`, each the whole item. */
function numbers(last: number, open: ResumeOptions<number>['open']): ResumeOptions<number> {
  return {
    open,
    take: (item, known) => (item <= known ? null : item === known + 1 ? { item, number: item } : 'gap'),
    isLast: (item) => item === last,
    isOver: async (known) => known >= last,
  };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return Array.fromAsync(items);
}

test('every item comes once and in order, whatever the connections do', async () => {
  const connection = fc.record({
    /** The server may begin too early, or leave out some. */
    offset: fc.integer({ min: -3, max: 2 }),
    length: fc.integer({ min: 0, max: 6 }),
    end: fc.constantFrom('cut', 'completed', 'unavailable'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(connection, { maxLength: 4 }), fc.integer({ min: 1, max: 12 }), async (bad, last) => {
      let opened = 0;
      async function* open(after: number) {
        const { offset, length, end } = bad[opened++] ?? { offset: 0, length: last, end: 'completed' };
        const first = Math.max(1, after + 1 + offset);
        for (let item = first; item < first + length && item <= last; item++) yield item;
        if (end === 'cut') throw new ConnectionError('cut');
        if (end === 'unavailable') throw new ApiError('later', { code: 'UNAVAILABLE' });
      }
      const seen = await collect(resume(numbers(last, open)));
      expect(seen).toEqual(Array.from({ length: last }, (_, index) => index + 1));
    }),
    { numRuns: 12 },
  );
});

test('an error that will not go away ends it at once', async () => {
  let opened = 0;
  async function* open() {
    opened += 1;
    yield 1;
    throw new ApiError('no', { code: 'FORBIDDEN' });
  }
  await expect(collect(resume(numbers(3, open)))).rejects.toMatchObject({ code: 'FORBIDDEN', notAllowed: true });
  expect(opened).toBe(1);
});

test('it gives up when nothing new comes for too long, and says why', async () => {
  const cuts: string[] = [];
  // biome-ignore lint/correctness/useYield: a server that is not there
  async function* open(): AsyncGenerator<number> {
    throw new ConnectionError('nobody is there.');
  }
  const watching = resume({
    ...numbers(3, open),
    giveUpAfterMs: 300,
    onCut: (error) => cuts.push(error.message),
  });
  await expect(collect(watching)).rejects.toThrow('Nothing came for 0 s: nobody is there.');
  expect(cuts.length).toBeGreaterThan(2);
});

test('aborting ends it, also while it waits for the next attempt', async () => {
  const stop = new AbortController();
  // biome-ignore lint/correctness/useYield: a server that is not there
  async function* open(): AsyncGenerator<number> {
    throw new ConnectionError('nobody is there.');
  }
  const watching = collect(resume({ ...numbers(3, open), signal: stop.signal, onCut: () => stop.abort() }));
  expect(await watching).toEqual([]);
});
