/** Start many finished builds again, one by one: each as retryBuild does it. */
import { SlipwayError } from '../errors.ts';
import { type RetryBuildInput, retryBuild } from './retry-build.ts';
import { type BulkInput, type BulkResult, type SkippedBuild, selectBuilds } from './select-builds.ts';

/** Refusals that hold for every other build of the project, too. */
const OF_THE_PROJECT: ReadonlySet<string> = new Set(['BUDGET_EXCEEDED', 'PROJECT_NOT_READY', 'DISK_FULL']);
/** Of them in a row the rest is left: nothing is started any more. */
const MAX_REFUSALS = 20;

export interface RetryBuildsInput extends BulkInput {
  readonly resumeSession?: RetryBuildInput['resumeSession'];
}

export interface RetriedBuilds extends BulkResult {
  /** UUIDs of the new builds, in the order of `changed`. */
  readonly started: readonly string[];
}

/**
 * Of builds that have not been repeated yet, so that it can be called again. A filter without a status means those that
 * FAILED or were CANCELLED. Throws InvalidInputError.
 */
export async function retryBuilds(
  deps: Parameters<typeof retryBuild>[0],
  input: RetryBuildsInput,
  actor: string,
): Promise<RetriedBuilds> {
  const dryRun = input.dryRun ?? false;
  const filter = { ...input.filter, statuses: input.filter.statuses ?? (['FAILED', 'CANCELLED'] as const) };
  const { ids, hasMore } = await selectBuilds(deps.db, 'retry', { ...input, filter });
  if (dryRun) return { dryRun, changed: ids, skipped: [], hasMore, started: [] };
  const changed: string[] = [];
  const started: string[] = [];
  const skipped: SkippedBuild[] = [];
  let refusals = 0;
  for (const [index, id] of ids.entries()) {
    try {
      const { resumeSession } = input;
      // The key makes two calls at the same time start it once.
      const retry = { id, resumeSession, idempotencyKey: `retry:${id}`, action: 'retryBuilds' } as const;
      const { build } = await retryBuild(deps, retry, actor);
      changed.push(id);
      started.push(build.id);
      refusals = 0;
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      skipped.push({ id, code: error.code, message: error.message });
      refusals = OF_THE_PROJECT.has(error.code) ? refusals + 1 : 0;
    }
    if (refusals === MAX_REFUSALS)
      return { dryRun, changed, started, skipped, hasMore: hasMore || index + 1 < ids.length };
  }
  return { dryRun, changed, started, skipped, hasMore };
}
