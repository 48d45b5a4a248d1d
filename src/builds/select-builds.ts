/** What cancelBuilds and retryBuilds share: which builds are meant, and what became of them. */
import { type SqlBool, sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { InvalidInputError } from '../errors.ts';
import { type BuildFilter, filterBuilds } from './filter-builds.ts';

/** Builds of one call. */
export const MAX_BULK = 1_000;

export interface BulkInput {
  readonly filter: BuildFilter;
  /** Nothing is changed; the answer says what would be. */
  readonly dryRun?: boolean | null | undefined;
  /** At most and by default `MAX_BULK`; the oldest go first. */
  readonly limit?: number | null | undefined;
}

export interface SkippedBuild {
  /** UUID. */
  readonly id: string;
  /** Stable: of the error that the mutation for one build would have given. */
  readonly code: string;
  readonly message: string;
}

export interface BulkResult {
  readonly dryRun: boolean;
  /** UUIDs of what was changed, or would be. */
  readonly changed: readonly string[];
  readonly skipped: readonly SkippedBuild[];
  /** There are others, for another call. */
  readonly hasMore: boolean;
}

/** Those that an operation is about, beside what the filter asks for. */
const MEANT = {
  cancel: sql<SqlBool>`finished_at is null and cancel_requested_at is null`,
  // So that a call that is repeated goes on where the last one ended.
  retry: sql<SqlBool>`finished_at is not null and not exists (
    select from build_audit again where again.retry_of = build_audit.id)`,
};

export interface SelectedBuilds {
  readonly ids: readonly string[];
  readonly hasMore: boolean;
}

/** Throws InvalidInputError. */
export async function selectBuilds(db: Database, what: keyof typeof MEANT, input: BulkInput): Promise<SelectedBuilds> {
  const limit = input.limit ?? MAX_BULK;
  if (limit < 1 || limit > MAX_BULK) {
    throw new InvalidInputError([{ path: ['input', 'limit'], message: `must be 1 to ${MAX_BULK}` }]);
  }
  const rows = await filterBuilds(db.selectFrom('build_audit').select('id'), input.filter)
    .where(MEANT[what])
    .orderBy('id')
    .limit(limit + 1)
    .execute();
  return { ids: rows.slice(0, limit).map(({ id }) => id), hasMore: rows.length > limit };
}
