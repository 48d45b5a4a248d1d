import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packData, unpackData } from '../../src/std/pack-data.ts';

const leaf = fc.oneof(
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.integer(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.date({ noInvalidDate: true }),
);
const data = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('any')),
    fc.dictionary(
      fc.string().filter((key) => key !== '$' && key !== '__proto__'),
      tie('any'),
      { noNullPrototype: true },
    ),
    fc.array(fc.tuple(fc.string(), tie('any'))).map((entries) => new Map(entries)),
  ),
})).any;

test('what is packed comes out as it was', () => {
  fc.assert(
    fc.property(data, (value) => {
      expect(unpackData(packData(value))).toEqual(value);
    }),
  );
});

test('what is undefined is left out, and a view of bytes is only that', () => {
  expect(unpackData(packData({ a: undefined, b: 1 }))).toEqual({ b: 1 });
  expect(unpackData(packData(Buffer.from('abcdef').subarray(2, 4)))).toEqual(Buffer.from('cd'));
});

test('what nobody has packed is refused', () => {
  for (const text of ['', '{', '{"$":"function","value":1}']) {
    expect(() => unpackData(Buffer.from(text))).toThrow(SyntaxError);
  }
});
