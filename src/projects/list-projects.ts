/** Projects page by page, in the order of their creation. */
import { type SelectQueryBuilder, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { applyKeyset, inListOrder, type Keyset } from '../database/keyset.ts';
import type { Tables } from '../database/tables.ts';
import { type Project, toProject } from './project.ts';

/** Every member that is present narrows the list; null is the same as absent. */
export interface ProjectFilter {
  readonly ids?: readonly string[] | null;
  /** A part of the name or the slug, in any case. */
  readonly search?: string | null;
  /** True: only archived ones. False: only the others. */
  readonly archived?: boolean | null;
}

export async function listProjects(db: Database, filter: ProjectFilter, keyset: Keyset): Promise<Project[]> {
  const query = applyKeyset(filterProjects(db.selectFrom('projects').selectAll(), filter), 'id', keyset);
  return inListOrder((await query.execute()).map(toProject), keyset);
}

export async function countProjects(db: Database, filter: ProjectFilter): Promise<number> {
  const query = filterProjects(db.selectFrom('projects').select(sql<number>`count(*)`.as('count')), filter);
  return (await query.executeTakeFirstOrThrow()).count;
}

function filterProjects<O>(
  query: SelectQueryBuilder<Tables, 'projects', O>,
  { ids, search, archived }: ProjectFilter,
): SelectQueryBuilder<Tables, 'projects', O> {
  return query
    .$if(ids !== null && ids !== undefined, (q) => q.where(sql<boolean>`id = any(${ids}::uuid[])`))
    .$if(Boolean(search), (q) => {
      const wanted = search?.toLowerCase() ?? '';
      return q.where(sql<boolean>`(strpos(lower(name), ${wanted}) > 0 or strpos(slug, ${wanted}) > 0)`);
    })
    .$if(archived === true, (q) => q.where('status', '=', 'ARCHIVED'))
    .$if(archived === false, (q) => q.where('status', '!=', 'ARCHIVED'));
}
