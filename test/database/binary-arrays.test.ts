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

it('gives times back as they were, of any year and zone', async () => {
  await using database = await openTestDatabase();
  const zones = fc.constantFrom('UTC', 'Asia/Kolkata', 'America/New_York', 'Atlantic/Reykjavik');
  const years = [0, 999, 1000, 2026, 9999, 10_000].map((year) => Date.parse(`+${String(year).padStart(6, '0')}-01-01`));
  const moment = fc.oneof(
    fc.date({ min: new Date('-000100-01-01'), max: new Date('+012000-01-01'), noInvalidDate: true }),
    fc
      .record({ year: fc.constantFrom(...years), ms: fc.integer({ min: -1_100, max: 1_100 }) })
      .map(({ year, ms }) => new Date(year + ms)),
  );
  const same = fc.asyncProperty(zones, fc.array(moment, { minLength: 1, maxLength: 20 }), async (zone, moments) => {
    const times = timeArray(moments);
    const { rows } = await database.db.transaction().execute(async (trx) => {
      await sql`select set_config('timezone', ${zone}, true)`.execute(trx);
      return sql`select at, at + interval '789 us' as later from unnest(${times}::timestamptz[]) with ordinality u(at, n)
        order by n`.execute(trx);
    });
    expect(rows).toEqual(moments.map((at) => ({ at, later: at })));
  });
  await fc.assert(same, { numRuns: 60 });
});
