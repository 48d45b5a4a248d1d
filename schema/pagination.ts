/** Relay connections over keysets. */
import type { Key, Keyset } from '../src/database/keyset.ts';
import { type InputIssue, InvalidInputError } from '../src/errors.ts';
import { DEFAULT_PAGE, MAX_PAGE } from './limits.ts';

export interface PageArguments {
  readonly first?: number | null | undefined;
  readonly last?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly before?: string | null | undefined;
}

/** How the key of a list is written as a cursor. */
export interface CursorKind<K extends Key> {
  encode(key: K): string;
  /** Null when the text is not such a cursor. */
  decode(cursor: string): K | null;
}

/** 16 bytes in base64url: opaque on purpose, unlike an id. */
export const UUID_CURSOR: CursorKind<string> = {
  encode: (uuid) => Buffer.from(uuid.replaceAll('-', ''), 'hex').toString('base64url'),
  decode(cursor) {
    if (!/^[A-Za-z0-9_-]{22}$/.test(cursor)) return null;
    const hex = Buffer.from(cursor, 'base64url').toString('hex');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  },
};

/** The number in decimal: the same cursor that a subscription takes. */
export const NUMBER_CURSOR: CursorKind<number> = {
  encode: String,
  decode: (cursor) => (/^\d{1,15}$/.test(cursor) ? Number(cursor) : null),
};

export interface PageRequest<K extends Key> {
  /** Asks for one row more than the page holds, to know whether there is more. */
  readonly keyset: Keyset;
  readonly size: number;
  readonly cursors: CursorKind<K>;
}

/** Throws InvalidInputError; a cursor that is none has the code INVALID_CURSOR. */
export function pageRequest<K extends Key>(
  args: PageArguments,
  cursors: CursorKind<K>,
  direction: Keyset['direction'],
): PageRequest<K> {
  const issues = [...sizeIssues(args.first, 'first'), ...sizeIssues(args.last, 'last')];
  if (isNumber(args.first) && isNumber(args.last)) issues.push({ path: ['last'], message: 'excludes first' });
  if (issues.length > 0) throw new InvalidInputError(issues);
  const size = args.first ?? args.last ?? DEFAULT_PAGE;
  return {
    size,
    cursors,
    keyset: {
      direction,
      after: readCursor(args.after, cursors, 'after'),
      before: readCursor(args.before, cursors, 'before'),
      limit: size + 1,
      fromEnd: !isNumber(args.first) && isNumber(args.last),
    },
  };
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number';
}

function sizeIssues(value: number | null | undefined, name: string): InputIssue[] {
  if (value === null || value === undefined || (value >= 0 && value <= MAX_PAGE)) return [];
  return [{ path: [name], message: `must be 0 to ${MAX_PAGE}` }];
}

/** Null when there is none. Throws InvalidInputError (INVALID_CURSOR) with the argument's name as the path. */
export function readCursor<K extends Key>(
  cursor: string | null | undefined,
  cursors: CursorKind<K>,
  name: string,
): K | null {
  if (cursor === null || cursor === undefined) return null;
  const key = cursors.decode(cursor);
  if (key === null) throw new InvalidInputError([{ path: [name], message: 'is not a cursor' }], 'INVALID_CURSOR');
  return key;
}

/** Most queries ask for the nodes alone: a cursor is written for who asks for it. */
class Edge<Row> {
  readonly node: Row;
  readonly #cursorOf: (row: Row) => string;

  constructor(node: Row, cursorOf: (row: Row) => string) {
    this.node = node;
    this.#cursorOf = cursorOf;
  }

  get cursor(): string {
    return this.#cursorOf(this.node);
  }
}

/** `rows` are those of the request's keyset, in the order of the list. */
export function toConnection<K extends Key, Row>(
  request: PageRequest<K>,
  rows: readonly Row[],
  keyOf: (row: Row) => K,
) {
  const { keyset, size, cursors } = request;
  const more = rows.length > size;
  const page = keyset.fromEnd ? rows.slice(more ? 1 : 0) : rows.slice(0, size);
  const cursorOf = (row: Row) => cursors.encode(keyOf(row));
  const edges = page.map((node) => new Edge(node, cursorOf));
  const [first, last] = [page[0], page.at(-1)];
  return {
    edges,
    pageInfo: {
      hasNextPage: keyset.fromEnd ? keyset.before !== null : more,
      hasPreviousPage: keyset.fromEnd ? more : keyset.after !== null,
      startCursor: first === undefined ? null : cursorOf(first),
      endCursor: last === undefined ? null : cursorOf(last),
    },
  };
}

/** A page of a list that is in memory, and in its order. */
export function sliceKeyset<Row>(rows: readonly Row[], keyset: Keyset, keyOf: (row: Row) => Key): Row[] {
  const { direction, after, before, limit, fromEnd } = keyset;
  const follows = (a: Key, b: Key) => (direction === 'asc' ? a > b : a < b);
  const range = rows.filter((row) => {
    const key = keyOf(row);
    return (after === null || follows(key, after)) && (before === null || follows(before, key));
  });
  return fromEnd ? range.slice(Math.max(0, range.length - limit)) : range.slice(0, limit);
}
