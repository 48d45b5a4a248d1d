/** Nothing that was sent as a value is in an error: over the real schema, as literals and as variables. */
import { describe, expect, test } from 'vitest';
import { schema } from '../../schema/index.ts';
import { createDocuments } from '../../src/server/documents.ts';
import { errorText } from '../../src/server/error-text.ts';

const SECRET = 'hunter2';
const credential = (fields: string) => `mutation { setCredential(input: { ${fields} }) { __typename } }`;
const builds = (filter: string) => `{ builds(filter: { ${filter} }) { totalCount } }`;

describe.each([true, false])('with the schema shown: %s', (showSchema) => {
  const prepare = createDocuments({ schema, showSchema });

  test.each([
    ['a required field is missing', credential(`secret: "${SECRET}"`), /required field/],
    ['an unknown field', credential(`name: "a", sceret: "${SECRET}"`), /unknown field "sceret"/],
    [
      'a text in place of an object',
      `mutation { setCredential(input: "${SECRET}") { __typename } }`,
      /to be an object/,
    ],
    ['a name in place of a text', credential(`name: ${SECRET}`), /non string value\.$/],
    ['a text in place of an enum', builds(`status: "${SECRET}"`), /non-enum value\.$/],
    ['an unknown enum value', builds(`status: ${SECRET}`), /^This value does not exist in "BuildStatus" enum/],
    ['no moment', builds(`createdAt: { from: "${SECRET}" }`), /date-time-string\.$/],
    ['a name in place of a moment', builds(`createdAt: { from: ${SECRET} }`), /Date type\.$/],
    ['a text in place of a number', `{ builds(first: "${SECRET}") { totalCount } }`, /non-integer value\.$/],
    ['a forgotten colon', credential(`secret "${SECRET}"`), /found String\.$/],
    ['a forgotten colon before a block', credential(`secret """a\n${SECRET}"""`), /found BlockString\.$/],
    ['a quote in the secret', credential(`name: "a"b ${SECRET}" }`), /found Name\.$/],
    ['an unknown escape sequence', credential(`secret: "\\u{${SECRET}"`), /Invalid Unicode escape sequence\.$/],
  ])('%s', (_what, document, message) => {
    const prepared = prepare(document);
    if (prepared.ok) throw new Error('It is valid.');
    const said = prepared.errors.map((error) => error.message);
    expect(JSON.stringify(prepared.errors)).not.toContain(SECRET);
    expect(
      said.some((text) => message.test(text)),
      said.join('\n'),
    ).toBe(true);
  });
});

test('what has no value in it stays as it is', () => {
  for (const message of ['Cannot query field "nope" on type "Query".', 'Syntax Error: Expected Name, found <EOF>.']) {
    expect(errorText(message)).toBe(message);
  }
});

test.each([' cannot represent ', 'Value "', ' found', 'String "', ', '])('a megabyte of %j holds nobody up', (part) => {
  const text = part.repeat(2 ** 20 / part.length);
  for (const begin of ['Syntax Error: Unexpected String "', 'Syntax Error: ', 'Value "', '']) {
    expect(errorText(begin + text).length).toBeLessThan(1_100);
  }
});

test('of an unknown value that is too long to look through nothing is said', () => {
  expect(errorText(`Value "${SECRET.repeat(1_000)}" does not exist in "A" enum.`)).toBe('This value is not known.');
});
