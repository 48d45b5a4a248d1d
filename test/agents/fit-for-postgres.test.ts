/** Whatever an agent prints: once it is cut, Postgres takes it. */
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cutJson } from '../../src/agents/cut-json.ts';
import { cutBytes, cutText, firstLine } from '../../src/agents/cut-text.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const HOSTILE = [
  '\0',
  '\ud800',
  '\udfff',
  '\u{10ffff}',
  '\ufeff',
  '\u001b[31m',
  '\\u0000',
  '"',
  '\\',
  "'",
  '\r\n',
  '\u2028',
];

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const text = fc
  .array(fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary' })), { maxLength: 12 })
  .map((parts) => parts.join(''));
const number = fc.oneof(
  fc.double(),
  fc.maxSafeInteger(),
  fc.constantFrom(1e308, -0, Number.NaN, Number.POSITIVE_INFINITY),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 12 }, text, number, fc.boolean(), fc.constant(null), tie('list'), tie('object')),
  list: fc.array(tie('value'), { maxLength: 6 }),
  object: fc.dictionary(text, tie('value'), { maxKeys: 6 }),
}));
const max = fc.nat(200);

it('as text', async () => {
  const property = fc.asyncProperty(fc.array(text, { maxLength: 20 }), max, async (texts, length) => {
    const cut = texts.flatMap((one) => [cutText(one, length), cutBytes(one, length), firstLine(one, length)]);
    const { rows } = await sql<{ same: string[] }>`select ${cut}::text[] as same`.execute(database.db);
    expect(rows[0]?.same).toEqual(cut);
  });
  await fc.assert(property, { numRuns: 100 });
});

it('as JSON', async () => {
  const property = fc.asyncProperty(value, max, async (json, length) => {
    const cut = JSON.stringify({ content: cutJson(json, length) });
    const { rows } = await sql<{ same: unknown }>`select ${cut}::jsonb as same`.execute(database.db);
    expect(rows[0]?.same).toEqual(JSON.parse(cut));
  });
  await fc.assert(property, { numRuns: 200 });
});
