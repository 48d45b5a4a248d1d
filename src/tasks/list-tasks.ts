/** Tasks page by page, in the order of their creation, and what is long about them. */
import { type SelectQueryBuilder, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { applyKeyset, inListOrder, type Keyset } from '../database/keyset.ts';
import type { Tables } from '../database/tables.ts';
import { BUILD_TYPE, type Task, type TaskStatus, toTask } from './task.ts';

/** Every member that is present narrows the list; null is the same as absent. */
export interface TaskFilter {
  /** Any of these; an empty list means no task at all. */
  readonly projectIds?: readonly string[] | null;
  readonly types?: readonly string[] | null;
  readonly statuses?: readonly TaskStatus[] | null;
  /** All of these. */
  readonly labels?: readonly { readonly key: string; readonly value: string }[] | null;
  readonly createdFrom?: Date | null;
  /** Exclusive. */
  readonly createdTo?: Date | null;
  /** By default they are there. */
  readonly builds?: boolean;
}

export async function listTasks(db: Database, filter: TaskFilter, keyset: Keyset): Promise<Task[]> {
  const query = applyKeyset(filterTasks(db.selectFrom('all_tasks').selectAll(), filter), 'id', keyset);
  return inListOrder((await query.execute()).map(toTask), keyset);
}

function filterTasks<O>(query: SelectQueryBuilder<Tables, 'all_tasks', O>, filter: TaskFilter) {
  const { projectIds, types, statuses, labels, createdFrom, createdTo, builds = true } = filter;
  return query
    .$if(present(projectIds), (q) => q.where(sql<boolean>`project_id = any(${projectIds}::uuid[])`))
    .$if(present(types), (q) => q.where(sql<boolean>`type = any(${types}::text[])`))
    .$if(present(statuses), (q) => q.where(sql<boolean>`status = any(${statuses}::text[])`))
    .$if(present(createdFrom), (q) => q.where('created_at', '>=', createdFrom ?? null))
    .$if(present(createdTo), (q) => q.where('created_at', '<', createdTo ?? null))
    .$if(!builds, (q) => q.where('type', '<>', BUILD_TYPE))
    .$call((q) =>
      (labels ?? []).reduce(
        // One containment for each: two values asked of one key must find nothing, not the last one.
        (narrowed, { key, value }) =>
          narrowed.where(sql<boolean>`labels @> ${JSON.stringify({ [key]: value })}::jsonb`),
        q,
      ),
    );
}

function present(value: unknown): boolean {
  return value !== null && value !== undefined;
}

export interface TaskDocuments {
  readonly id: string;
  readonly payload: unknown;
  readonly result: unknown;
}

/** Of build tasks: the build's spec, and its result. */
export async function readTaskDocuments(db: Database, ids: readonly string[]): Promise<readonly TaskDocuments[]> {
  return (await readDocumentsWithin(db, { ids, maxBytes: Number.MAX_SAFE_INTEGER }))?.value ?? [];
}

/** Null when they are more than `maxBytes`: then nothing has come over the wire. */
export async function readDocumentsWithin(
  db: Database,
  { ids, maxBytes }: { readonly ids: readonly string[]; readonly maxBytes: number },
): Promise<{ readonly value: readonly TaskDocuments[]; readonly bytes: number } | null> {
  if (ids.length === 0) return { value: [], bytes: 0 };
  // Counted first: a sum over rows holds no document, and when they are too many none of them is sent.
  const { rows } = await sql<TaskDocuments & { readonly total: number }>`
    with found as (
      select id, payload, result from tasks where id = any(${ids}::uuid[])
      union all
      select id, spec, result from build_audit where id = any(${ids}::uuid[])
    ), total as (
      select coalesce(sum(octet_length(payload::text) + coalesce(octet_length(result::text), 0)), 0)::bigint as bytes from found
    )
    select id, bytes as total, case when bytes <= ${maxBytes}::bigint then payload end as payload,
           case when bytes <= ${maxBytes}::bigint then result end as result
      from found, total`.execute(db);
  const bytes = Number(rows[0]?.total ?? 0);
  const value = rows.map(({ id, payload, result }) => ({ id, payload, result }));
  return bytes > maxBytes ? null : { value, bytes };
}
