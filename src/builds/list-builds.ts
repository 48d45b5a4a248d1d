/** Builds page by page, in the order of their creation. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { executePrepared } from '../database/execute-prepared.ts';
import { GatheredReads } from '../database/gathered-reads.ts';
import { applyKeyset, inListOrder, type Keyset, readChildPages } from '../database/keyset.ts';
import { type BuildSummary, SUMMARY_COLUMNS, toBuildSummary } from './build.ts';
import { type BuildFilter, filterBuilds } from './filter-builds.ts';

/** What a list of builds can belong to: a project, the build they repeat or gave way to, the worker that has them, a schedule. */
export type BuildParent = 'project_id' | 'retry_of' | 'worker_id' | 'superseded_by' | 'schedule_id';

async function listBuilds(db: Database, filter: BuildFilter, keyset: Keyset): Promise<BuildSummary[]> {
  const query = applyKeyset(filterBuilds(summaries(db), filter), 'id', keyset);
  const rows = await (isPlain(filter) ? executePrepared(db, query) : query.execute());
  return inListOrder(rows.map(toBuildSummary), keyset);
}

/** Filters have thousands of texts: prepared is what most ask, the list of all or of some projects. */
function isPlain({ projectIds: _projectIds, ...others }: BuildFilter): boolean {
  return Object.values(others).every((value) => value === null || value === undefined);
}

interface ListedBuilds {
  readonly filter: BuildFilter;
  readonly keyset: Keyset;
}

type ListReads = GatheredReads<ListedBuilds, readonly BuildSummary[]>;

/** They go with their database. */
const reads = new WeakMap<Database, ListReads>();

/** `listBuilds` of many callers: those who ask for the same page at the same time are told of the same rows. */
export async function listBuildsTogether(
  db: Database,
  filter: BuildFilter,
  keyset: Keyset,
): Promise<readonly BuildSummary[]> {
  const together = reads.get(db) ?? openListReads(db);
  reads.set(db, together);
  return (await together.get({ filter, keyset })) ?? [];
}

function openListReads(db: Database): ListReads {
  const nameOf = (list: ListedBuilds) => JSON.stringify(list);
  return new GatheredReads({
    nameOf,
    maxKeys: 1,
    // The pool has its own bound.
    lanes: Number.POSITIVE_INFINITY,
    async read(lists) {
      const found = new Map<string, readonly BuildSummary[]>();
      for (const list of lists) found.set(nameOf(list), await listBuilds(db, list.filter, list.keyset));
      return found;
    },
  });
}

function summaries(db: Database) {
  return db.selectFrom('build_audit').select(SUMMARY_COLUMNS);
}

export async function countBuilds(db: Database, filter: BuildFilter): Promise<number> {
  const query = filterBuilds(db.selectFrom('build_audit').select(sql<number>`count(*)`.as('count')), filter);
  return (await query.executeTakeFirstOrThrow()).count;
}

export interface BuildLists {
  readonly by: BuildParent;
  readonly parents: readonly string[];
  readonly filter: BuildFilter;
}

/** The same page of each parent's builds, in one statement. */
export async function listBuildsOf(
  db: Database,
  { by, parents, filter }: BuildLists,
  keyset: Keyset,
): Promise<Map<string, BuildSummary[]>> {
  const pages = await readChildPages(db, {
    parents,
    childrenOf: (parent) => filterBuilds(summaries(db), filter).where(sql<boolean>`${sql.ref(by)} = ${parent}`),
    column: 'id',
    keyset,
  });
  return new Map([...pages].map(([parent, rows]) => [parent, rows.map(toBuildSummary)]));
}

/** How many builds each parent has; a parent that has none is absent. */
export async function countBuildsOf(
  db: Database,
  { by, parents, filter }: BuildLists,
): Promise<ReadonlyMap<string, number>> {
  const rows = await filterBuilds(
    db.selectFrom('build_audit').select([`${by} as parent`, sql<number>`count(*)`.as('count')]),
    filter,
  )
    .where(sql<boolean>`${sql.ref(by)} = any(${parents}::uuid[])`)
    .groupBy(by)
    .execute();
  return new Map(rows.map((row) => [row.parent ?? '', row.count]));
}
