/** Which builds: one filter for lists, counts and statistics. */
import { type SelectQueryBuilder, sql } from 'kysely';
import type { Tables } from '../database/tables.ts';
import type { BuildStatus } from '../events/vocabulary.ts';
import type { BuildSummary } from './build.ts';

/** Every member that is present narrows the list; null is the same as absent. */
export interface BuildFilter {
  /** Any of these; an empty list means no build at all. */
  readonly projectIds?: readonly string[] | null;
  readonly statuses?: readonly BuildStatus[] | null;
  readonly providers?: readonly string[] | null;
  readonly sources?: readonly BuildSummary['source'][] | null;
  /** `name@version`, or `name` for every version. */
  readonly template?: string | null;
  readonly branch?: string | null;
  readonly number?: number | null;
  /** All of these. */
  readonly labels?: readonly { readonly key: string; readonly value: string }[] | null;
  readonly createdFrom?: Date | null;
  /** Exclusive. */
  readonly createdTo?: Date | null;
}

export function filterBuilds<O>(
  query: SelectQueryBuilder<Tables, 'build_audit', O>,
  filter: BuildFilter,
): SelectQueryBuilder<Tables, 'build_audit', O> {
  const { projectIds, statuses, providers, sources, template, branch, number, labels, createdFrom, createdTo } = filter;
  return query
    .$if(present(projectIds), (q) => q.where(sql<boolean>`project_id = any(${projectIds}::uuid[])`))
    .$if(present(statuses), (q) => q.where(sql<boolean>`status = any(${statuses}::text[])`))
    .$if(areOpen(statuses), (q) => q.where('finished_at', 'is', null))
    .$if(present(providers), (q) => q.where(sql<boolean>`provider = any(${providers}::text[])`))
    .$if(present(sources), (q) => q.where(sql<boolean>`source = any(${sources}::text[])`))
    .$if(present(template), (q) => q.where(isTemplate(template ?? '')))
    .$if(present(branch), (q) => q.where('branch', '=', branch ?? ''))
    .$if(present(number), (q) => q.where('number', '=', number ?? 0))
    .$if(present(labels), (q) => q.where(hasLabels(labels ?? [])))
    .$if(present(createdFrom), (q) => q.where('created_at', '>=', createdFrom ?? null))
    .$if(present(createdTo), (q) => q.where('created_at', '<', createdTo ?? null));
}

/** Then none has ended. That says nothing new but to the planner, which has an index of those. */
function areOpen(statuses: BuildFilter['statuses']): boolean {
  return statuses?.every((status) => status === 'PENDING' || status === 'RUNNING') ?? false;
}

function present(value: unknown): boolean {
  return value !== null && value !== undefined;
}

export function isTemplate(reference: string) {
  return reference.includes('@')
    ? sql<boolean>`template = ${reference}`
    : sql<boolean>`split_part(template, '@', 1) = ${reference}`;
}

function hasLabels(labels: NonNullable<BuildFilter['labels']>) {
  // One containment for each: two values asked of one key must find nothing, not the last one.
  const tests = labels.map(({ key, value }) => sql`spec -> 'labels' @> ${JSON.stringify({ [key]: value })}::jsonb`);
  if (tests.length === 0) return sql<boolean>`true`;
  // Says nothing new but to the planner: the index has only builds with labels.
  return sql<boolean>`(spec -> 'labels' <> '{}' and ${sql.join(tests, sql` and `)})`;
}
