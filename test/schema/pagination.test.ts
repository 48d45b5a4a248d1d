import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CursorKind,
  NUMBER_CURSOR,
  type PageArguments,
  pageRequest,
  sliceKeyset,
  toConnection,
  UUID_CURSOR,
} from '../../schema/pagination.ts';

describe('cursors', () => {
  it('round-trip', () => {
    fc.assert(fc.property(fc.uuid(), (id) => UUID_CURSOR.decode(UUID_CURSOR.encode(id)) === id));
    fc.assert(fc.property(fc.nat(), (n) => NUMBER_CURSOR.decode(NUMBER_CURSOR.encode(n)) === n));
  });

  it('refuse everything else by the name of the argument', () => {
    const kinds: [string, CursorKind<string> | CursorKind<number>][] = [
      ['x', NUMBER_CURSOR],
      ['-1', NUMBER_CURSOR],
      ['1e3', NUMBER_CURSOR],
      ['', NUMBER_CURSOR],
      ['9'.repeat(16), NUMBER_CURSOR],
      ['5', UUID_CURSOR],
      ['é'.repeat(22), UUID_CURSOR],
      [`${'A'.repeat(22)}=`, UUID_CURSOR],
    ];
    for (const [cursor, kind] of kinds) {
      for (const argument of ['after', 'before']) {
        expect(() => pageRequest({ [argument]: cursor }, kind as CursorKind<string>, 'asc')).toThrow(
          expect.objectContaining({ code: 'INVALID_CURSOR', issues: [expect.objectContaining({ path: [argument] })] }),
        );
      }
    }
  });

  it('refuse sizes out of bounds and first together with last', () => {
    const path = (name: string) => expect.objectContaining({ issues: [expect.objectContaining({ path: [name] })] });
    for (const size of [-1, 101, 2 ** 31]) {
      expect(() => pageRequest({ first: size }, UUID_CURSOR, 'asc')).toThrow(path('first'));
      expect(() => pageRequest({ last: size }, UUID_CURSOR, 'asc')).toThrow(path('last'));
    }
    expect(() => pageRequest({ first: 1, last: 1 }, UUID_CURSOR, 'asc')).toThrow(path('last'));
    expect(pageRequest({}, UUID_CURSOR, 'asc').size).toBe(20);
    expect(pageRequest({ first: null, last: 3 }, UUID_CURSOR, 'asc')).toMatchObject({ size: 3 });
  });
});

describe('pages in memory', () => {
  it('concatenate to the whole list, forward and backward, in both orders, with any page size', () => {
    const lists = fc.uniqueArray(fc.integer({ min: 0, max: 1_000 }), { maxLength: 60 });
    const property = fc.property(
      lists,
      fc.integer({ min: 1, max: 100 }),
      fc.constantFrom('asc' as const, 'desc' as const),
      fc.boolean(),
      (keys, size, direction, backward) => {
        const list = keys.toSorted((a, b) => (direction === 'asc' ? a - b : b - a));
        const read = (args: PageArguments) => {
          const request = pageRequest(args, NUMBER_CURSOR, direction);
          return toConnection(request, sliceKeyset(list, request.keyset, Number), Number);
        };
        let seen: number[] = [];
        let cursor: string | null = null;
        for (let pages = 0; pages <= list.length; pages += 1) {
          const page = read(backward ? { last: size, before: cursor } : { first: size, after: cursor });
          const items = page.edges.map((edge) => edge.node);
          seen = backward ? [...items, ...seen] : [...seen, ...items];
          cursor = backward ? page.pageInfo.startCursor : page.pageInfo.endCursor;
          if (!(backward ? page.pageInfo.hasPreviousPage : page.pageInfo.hasNextPage)) break;
        }
        expect(seen).toEqual(list);
      },
    );
    fc.assert(property);
  });
});
