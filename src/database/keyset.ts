/**
 * Pages of a list that is ordered by a unique column. There are no offsets, so nothing is skipped or given twice while
 * rows arrive, and the hundredth page costs what the first one does.
 */
import { type Expression, type SelectQueryBuilder, sql } from 'kysely';
import type { Database } from './database.ts';
import type { Tables } from './tables.ts';

/** The value of the ordering column: a UUIDv7 or a number. */
export type Key = string | number;

export interface Keyset {
  /** The order of the list, which is also the order of every page. */
  readonly direction: 'asc' | 'desc';
  /** Only what follows this key in the list. */
  readonly after: Key | null;
  /** Only what goes before this key in the list. */
  readonly before: Key | null;
  /** Rows, at most. */
  readonly limit: number;
  /** The last rows of what is left, instead of the first. */
  readonly fromEnd: boolean;
}

/** Narrows a query to one page; its rows come from the end that `fromEnd` names. See `inListOrder`. */
export function applyKeyset<TB extends keyof Tables, O>(
  query: SelectQueryBuilder<Tables, TB, O>,
  column: string,
  keyset: Keyset,
): SelectQueryBuilder<Tables, TB, O> {
  const ascending = keyset.direction === 'asc';
  const [lower, upper] = ascending ? [keyset.after, keyset.before] : [keyset.before, keyset.after];
  let page = query.orderBy(sql.ref(column), ascending === keyset.fromEnd ? 'desc' : 'asc').limit(keyset.limit);
  if (lower !== null) page = page.where(sql<boolean>`${sql.ref(column)} > ${lower}`);
  if (upper !== null) page = page.where(sql<boolean>`${sql.ref(column)} < ${upper}`);
  return page;
}

/** The rows of an `applyKeyset` query in the order of the list. */
export function inListOrder<Row>(rows: readonly Row[], keyset: Keyset): Row[] {
  return keyset.fromEnd ? rows.toReversed() : [...rows];
}

export interface ChildPages<TB extends keyof Tables, O> {
  readonly parents: readonly string[];
  /** The children of one parent, without order and limit. */
  readonly childrenOf: (parent: Expression<string>) => SelectQueryBuilder<Tables, TB, O>;
  readonly column: string;
  readonly keyset: Keyset;
}

/** The same page of the children of many parents, in one statement: parent -> rows in the order of the list. */
export async function readChildPages<TB extends keyof Tables, O>(
  db: Database,
  { parents, childrenOf, column, keyset }: ChildPages<TB, O>,
): Promise<Map<string, O[]>> {
  const pages = new Map<string, O[]>(parents.map((parent) => [parent, []]));
  if (parents.length === 0) return pages;
  const page = applyKeyset(childrenOf(sql.ref<string>('parent.parent_id')), column, keyset);
  const { rows } = await sql<O & { parent_id: string }>`
    select parent.parent_id, child.*
      from unnest(${parents}::uuid[]) as parent (parent_id) cross join lateral ${page} as child
     order by ${sql.ref(`child.${column}`)} ${sql.raw(keyset.direction)}`.execute(db);
  for (const { parent_id, ...row } of rows) pages.get(parent_id)?.push(row as O);
  return pages;
}
