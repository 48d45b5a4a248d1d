import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { integerArray, jsonbArray, textArray, timeArray, uuidArray } from '../../src/database/binary-arrays.ts';
import { openTestDatabase } from '../support/database.ts';

const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0') && value.isWellFormed());
const someRow = fc.record({
  id: fc.option(fc.uuid()),
  word: fc.option(text),
  count: fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
  at: fc.option(fc.date({ min: new Date('0001-01-02'), max: new Date('9999-01-01'), noInvalidDate: true })),
  document: fc.record({ text, list: fc.array(fc.integer()) }),
});

it('gives Postgres what it was given, nulls and all', async () => {
  await using database = await openTestDatabase();
  const same = fc.asyncProperty(fc.array(someRow, { maxLength: 20 }), async (rows) => {
    const { rows: found } = await sql`
      select id, word, count, at, document
        from unnest(${uuidArray(rows.map(({ id }) => id))}::uuid[], ${textArray(rows.map(({ word }) => word))}::text[],
                    ${integerArray(rows.map(({ count }) => count))}::integer[],
                    ${timeArray(rows.map(({ at }) => at))}::timestamptz[],
                    ${jsonbArray(rows.map(({ document }) => JSON.stringify(document)))}::jsonb[])
             with ordinality i(id, word, count, at, document, n)
       order by n`.execute(database.db);
    expect(found).toEqual(rows);
  });
  await fc.assert(same, { numRuns: 100 });
  expect(() => uuidArray(['no'])).toThrow('not a UUID');
});
