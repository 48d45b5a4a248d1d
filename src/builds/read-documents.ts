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
}

export interface DocumentPart<D extends keyof BuildDocuments> {
  readonly buildId: string;
  readonly projectId: string;
  /** Null when the build has no such document: a result before the end. */
  readonly members: Partial<BuildDocuments[D]> | null;
}

/** The same members of the same document of many builds, in one statement. A build that is not there is absent. */
export function readDocuments<D extends keyof BuildDocuments>(
  db: Database,
  { document, buildIds, keys }: DocumentParts<D>,
): Promise<DocumentPart<D>[]> {
  // Not one `->` for each member: each of them would unpack the whole document again.
  const members = sql<Partial<BuildDocuments[D]> | null>`
    (select jsonb_object_agg(key, value) from jsonb_each(${sql.ref(document)}) where key = any(${keys}::text[]))`;
  return db
    .selectFrom('build_audit')
    .select(['id as buildId', 'project_id as projectId', members.as('members')])
    .where(sql<boolean>`id = any(${buildIds}::uuid[])`)
    .execute() as Promise<DocumentPart<D>[]>;
}
