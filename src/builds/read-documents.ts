/** The documents of builds, in part: each may be megabytes long, and of most of it most readers want nothing. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { BuildResult } from './build-result.ts';
import type { BuildSpec } from './build-spec.ts';

/** Column -> what is in it. */
export interface BuildDocuments {
  readonly spec: BuildSpec;
  readonly result: BuildResult;
}

export interface DocumentParts<D extends keyof BuildDocuments> {
  readonly document: D;
  readonly buildIds: readonly string[];
  /** The members that are read. */
  readonly keys: readonly (keyof BuildDocuments[D])[];
  /** Bytes of what is read, as JSON. */
  readonly maxBytes: number;
}

export interface DocumentPart<D extends keyof BuildDocuments> {
  readonly buildId: string;
  readonly projectId: string;
  /** Null when the build has no such document: a result before the end. */
  readonly members: Partial<BuildDocuments[D]> | null;
}

/** Members without a small bound of their own. */
const LARGE: ReadonlySet<PropertyKey> = new Set<keyof BuildSpec | keyof BuildResult>([
  ...(['prompt', 'variables'] satisfies (keyof BuildSpec)[]),
  ...(['output', 'filesChanged', 'artifacts'] satisfies (keyof BuildResult)[]),
]);

/**
 * The same members of the same document of many builds, in one statement. A build that is not there is absent. Null when
 * they are more than `maxBytes`: then nothing has come over the wire that is. `bytes` counts only what may be large.
 */
export async function readDocuments<D extends keyof BuildDocuments>(
  db: Database,
  { document, buildIds, keys, maxBytes }: DocumentParts<D>,
): Promise<{ readonly value: DocumentPart<D>[]; readonly bytes: number } | null> {
  // Not one `->` for each member: each of them would unpack the whole document again.
  const members = sql<Partial<BuildDocuments[D]> | null>`
    (select jsonb_object_agg(key, value) from jsonb_each(${sql.ref(document)}) where key = any(${keys}::text[]))`;
  if (!keys.some((key) => LARGE.has(key))) {
    const value = await db
      .selectFrom('build_audit')
      .select(['id as buildId', 'project_id as projectId', members.as('members')])
      .where(sql<boolean>`id = any(${buildIds}::uuid[])`)
      .execute();
    return { value: value as DocumentPart<D>[], bytes: 0 };
  }
  // Counted first: a sum over rows holds no document, and when they are too many none of them is sent.
  const { rows } = await sql<DocumentPart<D> & { readonly total: number }>`
    select id as "buildId", project_id as "projectId", total, case when total <= ${maxBytes} then ${members} end as members
    from (
      select id, project_id, ${sql.ref(document)}, sum(coalesce(octet_length(${members}::text), 0)) over () as total
      from build_audit where id = any(${buildIds}::uuid[])
    ) as counted`.execute(db);
  const bytes = rows[0]?.total ?? 0;
  return bytes > maxBytes ? null : { value: rows, bytes };
}
