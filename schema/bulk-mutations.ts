/** Many builds at once: cancelBuilds and retryBuilds. */
import { cancelBuilds } from '../src/builds/cancel-builds.ts';
import { type RetriedBuilds, retryBuilds } from '../src/builds/retry-builds.ts';
import { type BulkResult, MAX_BULK, type SkippedBuild } from '../src/builds/select-builds.ts';
import { InvalidInputError } from '../src/errors.ts';
import { toPublicId } from '../src/std/public-id.ts';
import { BuildFilterInput, toBuildFilter } from './build-filter.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import type { Context } from './context.ts';

const FILTER_HELP = 'Which builds: at least one member, so that nobody means all of them by mistake.';
const DRY_RUN_HELP = 'True: nothing is changed, and the answer says what would be. By default false.';
const LIMIT_HELP = `Builds of this call, the oldest first: 1 to ${MAX_BULK}, by default ${MAX_BULK}.`;

const SkippedBuildRef = builder.objectRef<SkippedBuild>('SkippedBuild').implement({
  description: 'A build that was meant and not changed.',
  fields: (t) => ({
    id: t.id({ description: 'The build.', resolve: ({ id }) => toPublicId('build', id) }),
    code: t.exposeString('code', {
      description: 'Why, for programs: that of the error a mutation of one build gives.',
    }),
    message: t.exposeString('message', { description: 'Why, for people.' }),
  }),
});

const CancelBuildsInput = builder.inputType('CancelBuildsInput', {
  description: 'Which builds to end, and why.',
  fields: (t) => ({
    filter: t.field({ type: BuildFilterInput, required: true, description: FILTER_HELP }),
    reason: t.string({ description: 'Shown with each build: at most 1000 characters.' }),
    dryRun: t.boolean({ description: DRY_RUN_HELP }),
    limit: t.int({ description: LIMIT_HELP }),
  }),
});

const RetryBuildsInput = builder.inputType('RetryBuildsInput', {
  description: 'Which finished builds to start again.',
  fields: (t) => ({
    filter: t.field({
      type: BuildFilterInput,
      required: true,
      description: `${FILTER_HELP} Without a status: those that FAILED or were CANCELLED.`,
    }),
    resumeSession: t.boolean({
      description: "Go on with the agents' sessions instead of beginning anew; by default false.",
    }),
    dryRun: t.boolean({ description: DRY_RUN_HELP }),
    limit: t.int({ description: LIMIT_HELP }),
  }),
});

const CancelBuildsPayload = builder.objectRef<BulkResult>('CancelBuildsPayload').implement({
  description: 'What became of the builds that wait or run and that nobody had asked to end.',
  fields: (t) => ({
    dryRun: t.exposeBoolean('dryRun', { description: 'Nothing was changed.' }),
    matched: t.int({ description: 'Builds that were meant.', resolve: matched }),
    changed: t.int({ description: 'Of them: whose end is asked for, or would be.', resolve: (r) => r.changed.length }),
    ids: t.field({
      type: ['ID'],
      description: 'Those that are changed.',
      complexity: EMBEDDED_LIST,
      resolve: ({ changed }) => publicIds(changed),
    }),
    skipped: t.field({
      type: [SkippedBuildRef],
      description: 'Those that are not, and why.',
      complexity: EMBEDDED_LIST,
      resolve: ({ skipped }) => [...skipped],
    }),
    hasMore: t.exposeBoolean('hasMore', { description: 'There are others: call it again.' }),
  }),
});

const RetryBuildsPayload = builder.objectRef<RetriedBuilds>('RetryBuildsPayload').implement({
  description: 'What became of the finished builds that had not been repeated yet.',
  fields: (t) => ({
    dryRun: t.exposeBoolean('dryRun', { description: 'Nothing was changed.' }),
    matched: t.int({ description: 'Builds that were meant.', resolve: matched }),
    changed: t.int({ description: 'Of them: repeated, or would be.', resolve: (r) => r.changed.length }),
    ids: t.field({
      type: ['ID'],
      description: 'Those that are repeated.',
      complexity: EMBEDDED_LIST,
      resolve: ({ changed }) => publicIds(changed),
    }),
    startedIds: t.field({
      type: ['ID'],
      description: 'The new builds, in the order of `ids`.',
      complexity: EMBEDDED_LIST,
      resolve: ({ started }) => publicIds(started),
    }),
    skipped: t.field({
      type: [SkippedBuildRef],
      description: 'Those that are not, and why.',
      complexity: EMBEDDED_LIST,
      resolve: ({ skipped }) => [...skipped],
    }),
    hasMore: t.exposeBoolean('hasMore', {
      description: 'There are others: call it again, when what the last builds were skipped for is mended.',
    }),
  }),
});

function matched({ changed, skipped }: BulkResult): number {
  return changed.length + skipped.length;
}

function publicIds(ids: readonly string[]): string[] {
  return ids.map((id) => toPublicId('build', id));
}

/** Throws InvalidInputError. */
function narrow({ viewer }: Context, input: typeof BuildFilterInput.$inferInput) {
  const present = Object.values(input).filter((member) => member !== null && member !== undefined);
  if (present.length > 0) return toBuildFilter(viewer, input);
  throw new InvalidInputError([{ path: ['input', 'filter'], message: 'must have at least one member' }]);
}

builder.mutationFields((t) => ({
  cancelBuilds: t.field({
    type: CancelBuildsPayload,
    description: 'End all builds that wait or run and that a filter names, a bounded number in one call.',
    authScopes: { scope: 'builds:write' },
    errors: { types: [InvalidInputError] },
    args: { input: t.arg({ type: CancelBuildsInput, required: true, description: 'Which builds, and why.' }) },
    resolve: (_root, { input }, context) => {
      const filter = narrow(context, input.filter);
      context.loaders.build.clearAll();
      return cancelBuilds(context.orchestrator, { ...input, filter }, context.viewer.actor);
    },
  }),
  retryBuilds: t.field({
    type: RetryBuildsPayload,
    description:
      'Start all finished builds again that a filter names and that were not repeated yet, a bounded number in one call.',
    authScopes: { scope: 'builds:write' },
    errors: { types: [InvalidInputError] },
    args: { input: t.arg({ type: RetryBuildsInput, required: true, description: 'Which builds.' }) },
    resolve: (_root, { input }, context) => {
      const filter = narrow(context, input.filter);
      return retryBuilds(context.orchestrator, { ...input, filter }, context.viewer.actor);
    },
  }),
}));
