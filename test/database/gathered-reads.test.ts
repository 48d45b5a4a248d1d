import { expect, it } from 'vitest';
import { GatheredReads } from '../../src/database/gathered-reads.ts';

interface Statement {
  readonly keys: readonly string[];
  answer(): void;
  fail(): void;
}

/** Reads that end when the test says so; a value tells which statement gave it. */
function open(options: { readonly lanes?: number; readonly maxKeys?: number } = {}) {
  const statements: Statement[] = [];
  const reads = new GatheredReads<string, string>({
    nameOf: (key) => key,
    read(keys) {
      const { promise, resolve, reject } = Promise.withResolvers<ReadonlyMap<string, string>>();
      const number = statements.length;
      const known = keys.filter((key) => key !== 'unknown');
      statements.push({
        keys,
        answer: () => resolve(new Map(known.map((key) => [key, `${key} of ${number}`]))),
        fail: () => reject(new Error(`statement ${number}`)),
      });
      return promise;
    },
    ...options,
  });
  return { statements, reads };
}

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

it('asks once for all that come together, and tells what is not there', async () => {
  const { statements, reads } = open();
  const answers = ['a', 'b', 'a', 'unknown'].map((key) => reads.get(key));
  await turn();
  expect(statements.map(({ keys }) => keys)).toEqual([['a', 'b', 'unknown']]);
  statements[0]?.answer();
  expect(await Promise.all(answers)).toEqual(['a of 0', 'b of 0', 'a of 0', null]);
});

it('gives nobody what was read before they asked', async () => {
  const { statements, reads } = open();
  const first = reads.get('a');
  await turn();
  const [second, third] = [reads.get('a'), reads.get('a')];
  const other = reads.get('b');
  await turn();
  expect(statements.map(({ keys }) => keys)).toEqual([['a'], ['b']]);
  statements[0]?.answer();
  expect(await first).toBe('a of 0');
  await turn();
  for (const statement of statements.slice(1)) statement.answer();
  expect(await Promise.all([second, third, other])).toEqual(['a of 2', 'a of 2', 'b of 1']);
  expect(statements).toHaveLength(3);
});

it('has a few statements on their way, of a few keys each', async () => {
  const { statements, reads } = open({ lanes: 2, maxKeys: 3 });
  const answers = Array.from({ length: 8 }, (_, index) => reads.get(String(index)));
  await turn();
  await turn();
  expect(statements.map(({ keys }) => keys.length)).toEqual([3, 3]);
  for (let next = 0; next < 3; next += 1) {
    statements[next]?.answer();
    await turn();
  }
  expect(statements.map(({ keys }) => keys.length)).toEqual([3, 3, 2]);
  expect(await Promise.all(answers)).toHaveLength(8);
});

it('fails whom a statement was for, and nobody else', async () => {
  const { statements, reads } = open({ lanes: 1 });
  const first = reads.get('a');
  await turn();
  const second = reads.get('b');
  statements[0]?.fail();
  await expect(first).rejects.toThrow('statement 0');
  await turn();
  statements[1]?.answer();
  expect(await second).toBe('b of 1');
});
